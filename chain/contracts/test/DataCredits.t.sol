// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccessManaged} from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {DataCredits} from "../src/DataCredits.sol";
import {IDataCredits} from "../src/interfaces/IDataCredits.sol";
import {IHUDLBuyer} from "../src/interfaces/IHUDLBuyer.sol";
import {IPriceOracle} from "../src/interfaces/IPriceOracle.sol";
import {InventoryBuyer} from "../src/InventoryBuyer.sol";
import {Charge} from "../src/types/Charge.sol";
import {Economy} from "./base/Economy.sol";
import {Stable} from "./mocks/Stable.sol";

/// @dev A buyer that keeps the stablecoins, sends nothing and says that it sent much.
contract LyingBuyer is IHUDLBuyer {
    IERC20 public immutable override stable;

    constructor(IERC20 stable_) {
        stable = stable_;
    }

    function turn(uint256) external pure override returns (uint256) {
        return 1e30;
    }
}

contract DataCreditsTest is Economy {
    address private application;
    address private orchestrator = makeAddress("orchestrator");

    function setUp() public {
        deployEconomy(1);
        application = makeAddress("application");
    }

    function chargeAt(uint64 epoch, address application_, address orchestrator_, uint128 gb)
        private
        returns (uint256 dc, uint256 escrow)
    {
        Charge[] memory charges = new Charge[](1);
        charges[0] = Charge(application_, orchestrator_, gb * 1e9);
        vm.prank(address(proof));
        return credits.charge(epoch, 1, charges);
    }

    function remaining(uint64 epoch) private view returns (uint256) {
        return credits.authorisation(application, orchestrator, epoch).remainingDC;
    }

    function test_buy_atTheLowerPrice() public {
        uint256 dc = buyCredits(application, 10e18);
        assertEq(dc, 50_000, "credits of 10 HUDL at 0.05 USD");
        IDataCredits.Account memory a = credits.accountOf(application);
        assertEq(a.dc, 50_000, "credits");
        assertEq(a.escrowWei, 10e18, "escrow");
        assertEq(hudl.balanceOf(address(credits)), 10e18, "HUDL held");
    }

    /// @dev Whichever of spot and average is lower: a price of a moment sells no cheap credits.
    function test_buy_neverAtAPriceOfAMoment() public {
        address[2] memory feeders = [makeAddress("feeder0"), makeAddress("feeder1")];
        for (uint256 i = 0; i < 2; i++) oracle.addFeeder(feeders[i]);
        oracle.fixPrice(0);
        feed(feeders, PRICE);
        vm.warp(block.timestamp + 12 hours);
        feed(feeders, PRICE * 6 / 5);
        assertEq(oracle.spot(), PRICE * 6 / 5, "spot");
        assertEq(oracle.twap(), PRICE, "average");
        assertEq(buyCredits(application, 10e18), 50_000, "credits while spot is higher");
        vm.warp(block.timestamp + 1 hours);
        feed(feeders, PRICE * 96 / 100);
        assertGe(oracle.twap(), PRICE, "average");
        assertEq(buyCredits(application, 10e18), 48_000, "credits while spot is lower");
        vm.warp(block.timestamp + 1 days + 1);
        give(address(this), 1e18);
        hudl.approve(address(credits), 1e18);
        vm.expectPartialRevert(IPriceOracle.PriceOracle_Stale.selector);
        credits.buy(application, 1e18, 0);
    }

    function feed(address[2] memory feeders, uint64 price8) private {
        for (uint256 i = 0; i < 2; i++) {
            vm.prank(feeders[i]);
            oracle.feed(price8);
        }
    }

    function test_buy_refusesFewerThanWanted() public {
        give(address(this), 10e18);
        hudl.approve(address(credits), 10e18);
        vm.expectRevert(abi.encodeWithSelector(IDataCredits.DataCredits_TooFew.selector, 50_000, 50_001));
        credits.buy(application, 10e18, 50_001);
        vm.expectRevert(abi.encodeWithSelector(IDataCredits.DataCredits_TooFew.selector, 0, 1));
        credits.buy(application, 1, 0);
        vm.expectRevert(IDataCredits.DataCredits_NoApplication.selector);
        credits.buy(address(0), 1e18, 0);
    }

    function test_buyWithStable_turnsItIntoHUDL() public {
        Stable stable = new Stable();
        InventoryBuyer buyer =
            new InventoryBuyer(stable, 6, hudl, oracle, address(credits), address(access));
        vm.expectRevert(IDataCredits.DataCredits_NoBuyer.selector);
        credits.buyWithStable(application, 1e6, 0);
        credits.setBuyer(buyer);
        stable.mint(address(this), 100e6);
        stable.approve(address(credits), 100e6);
        vm.expectRevert(abi.encodeWithSelector(IHUDLBuyer.HUDLBuyer_Inventory.selector, 2000e18, 0));
        credits.buyWithStable(application, 100e6, 0);
        give(address(buyer), 5000e18);
        uint256 dc = credits.buyWithStable(application, 100e6, 10e6);
        assertEq(dc, 10e6, "credits of 100 USD");
        assertEq(credits.accountOf(application).escrowWei, 2000e18, "HUDL received");
        assertEq(stable.balanceOf(address(buyer)), 100e6, "stablecoins held");
        buyer.withdraw(stable, treasury, 100e6);
        vm.prank(guardian);
        vm.expectRevert(abi.encodeWithSelector(IAccessManaged.AccessManagedUnauthorized.selector, guardian));
        buyer.withdraw(hudl, guardian, 1);
        vm.expectRevert(abi.encodeWithSelector(IHUDLBuyer.HUDLBuyer_NotDataCredits.selector, address(this)));
        buyer.turn(1);
    }

    /// @dev Only HUDL and stablecoins that really came in count.
    function test_buyWithStable_countsOnlyWhatCameIn() public {
        Stable stable = new Stable();
        InventoryBuyer buyer =
            new InventoryBuyer(stable, 6, hudl, oracle, address(credits), address(access));
        give(address(buyer), 5000e18);
        credits.setBuyer(buyer);
        stable.mint(address(this), 200e6);
        stable.approve(address(credits), 200e6);
        stable.setFee(100);
        assertEq(credits.buyWithStable(application, 100e6, 0), 9_900_000, "credits after a fee of 1 %");
        credits.setBuyer(new LyingBuyer(stable));
        vm.expectRevert(abi.encodeWithSelector(IDataCredits.DataCredits_TooFew.selector, 0, 1));
        credits.buyWithStable(application, 100e6, 0);
    }

    /// @dev Reentrancy: a stablecoin that buys again while it moves is refused, and counts once.
    function test_buyWithStable_reentrancy() public {
        Stable stable = new Stable();
        InventoryBuyer buyer =
            new InventoryBuyer(stable, 6, hudl, oracle, address(credits), address(access));
        give(address(buyer), 5000e18);
        credits.setBuyer(buyer);
        stable.mint(address(this), 100e6);
        stable.approve(address(credits), 100e6);
        stable.setCall(address(credits), abi.encodeCall(credits.buyWithStable, (application, 0, 0)));
        assertEq(credits.buyWithStable(application, 100e6, 0), 10e6, "credits");
        assertEq(
            bytes32(bytes4(stable.refusal())),
            bytes32(ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector),
            "what the second call met"
        );
    }

    function test_charge_isForProofOfResource() public {
        buyCredits(application, 10e18);
        vm.prank(application);
        vm.expectRevert(abi.encodeWithSelector(IDataCredits.DataCredits_NotProofOfResource.selector, application));
        credits.charge(0, 1, chargesOf(application, application, 1));
    }

    function test_charge_releasesEscrowInProportion() public {
        buyCredits(application, 10e18);
        authorise(application, orchestrator, 100_000, 9);
        (uint256 dc, uint256 escrow) = chargeAt(0, application, orchestrator, 20_000);
        assertEq(dc, 20_000, "consumed");
        assertEq(escrow, 4e18, "escrow released");
        assertEq(hudl.balanceOf(address(reserve)), 4e18, "HUDL at the Reserve");
        assertEq(remaining(0), 80_000, "authority left");
        (, escrow) = chargeAt(1, application, orchestrator, 30_000);
        assertEq(escrow, 6e18, "the rest");
        assertEq(credits.accountOf(application).escrowWei, 0, "escrow left");
    }

    /// @dev An Orchestrator without authority, or beyond it, is charged itself.
    function test_charge_fallsOnTheOrchestratorBeyondItsAuthority() public {
        buyCredits(application, 10e18);
        buyCredits(orchestrator, 1e18);
        authorise(application, orchestrator, 8_000, 9);
        chargeAt(0, application, orchestrator, 10_000);
        assertEq(credits.accountOf(application).dc, 42_000, "application");
        assertEq(credits.accountOf(orchestrator).dc, 3_000, "orchestrator");
        vm.prank(address(proof));
        vm.expectRevert(
            abi.encodeWithSelector(
                IDataCredits.DataCredits_Shortfall.selector, application, orchestrator, 2_000
            )
        );
        credits.charge(0, 1, chargesOf(application, orchestrator, 5_000));
        // It needs nobody's leave for its own account.
        chargeAt(0, orchestrator, orchestrator, 3_000);
        assertEq(credits.accountOf(orchestrator).dc, 0, "orchestrator");
    }

    function chargesOf(address a, address o, uint128 gb) private pure returns (Charge[] memory list) {
        list = new Charge[](1);
        list[0] = Charge(a, o, gb * 1e9);
    }

    function test_authorise_wideningHoldsAtOnce() public {
        toEpoch(5);
        authorise(application, orchestrator, 100, 9);
        assertEq(remaining(5), 100, "first");
        assertEq(remaining(4), 0, "epoch before");
        authorise(application, orchestrator, 200, 9);
        assertEq(remaining(5), 200, "wider");
    }

    function test_authorise_narrowingHoldsFromTheNextEpoch() public {
        toEpoch(5);
        authorise(application, orchestrator, 100, 9);
        authorise(application, orchestrator, 50, 9);
        assertEq(remaining(5), 100, "running epoch");
        assertEq(remaining(6), 50, "next epoch");
        // One that has not begun may be narrowed again.
        authorise(application, orchestrator, 20, 8);
        assertEq(remaining(5), 100, "running epoch");
        assertEq(remaining(6), 20, "next epoch");
        assertEq(remaining(9), 0, "after its end");
    }

    /// @dev A narrower one waits until the epochs of the one before the last are charged: at most two are kept.
    function test_authorise_narrowingTwiceWaitsForTheCharges() public {
        buyCredits(application, 10e18);
        toEpoch(5);
        authorise(application, orchestrator, 100, 9);
        authorise(application, orchestrator, 50, 9);
        toEpoch(6);
        vm.prank(application);
        vm.expectRevert(
            abi.encodeWithSelector(
                IDataCredits.DataCredits_EarlierAuthorisationOpen.selector, 5, type(uint64).max
            )
        );
        credits.authorise(orchestrator, 10, 9);
        chargeAt(5, application, orchestrator, 100);
        authorise(application, orchestrator, 10, 9);
        assertEq(remaining(6), 50, "running epoch");
        assertEq(remaining(7), 10, "next epoch");
    }

    /// @dev A revocation acts from the next epoch, so that a signed commit is never bricked by one.
    function test_revoke_actsFromTheNextEpoch() public {
        buyCredits(application, 10e18);
        toEpoch(5);
        authorise(application, orchestrator, 100, 9);
        vm.prank(application);
        credits.revoke(orchestrator);
        assertEq(remaining(5), 100, "running epoch");
        assertEq(remaining(6), 0, "next epoch");
        toEpoch(6);
        (uint256 dc,) = chargeAt(5, application, orchestrator, 60);
        assertEq(dc, 60, "charged for the epoch before");
        vm.prank(application);
        vm.expectRevert(
            abi.encodeWithSelector(IDataCredits.DataCredits_NotAuthorised.selector, application, orchestrator)
        );
        credits.revoke(orchestrator);
        // A new one does not bring back what was left.
        authorise(application, orchestrator, 30, 9);
        assertEq(remaining(5), 40, "epoch before");
        assertEq(remaining(6), 30, "running epoch");
    }

    function test_revoke_ofOneThatHasNotBegun() public {
        toEpoch(5);
        authorise(application, orchestrator, 100, 9);
        authorise(application, orchestrator, 50, 9);
        vm.prank(application);
        credits.revoke(orchestrator);
        assertEq(remaining(5), 100, "running epoch");
        assertEq(remaining(6), 0, "next epoch");
    }

    function test_authorise_refusesAnEndBeforeItsStart() public {
        toEpoch(5);
        vm.prank(application);
        vm.expectRevert(abi.encodeWithSelector(IDataCredits.DataCredits_EndBeforeStart.selector, 4, 5));
        credits.authorise(orchestrator, 1, 4);
        authorise(application, orchestrator, 100, 9);
        vm.prank(application);
        vm.expectRevert(abi.encodeWithSelector(IDataCredits.DataCredits_EndBeforeStart.selector, 5, 6));
        credits.authorise(orchestrator, 100, 5);
    }

    function signed(uint128 limit, uint256 nonce, uint256 deadline) private view returns (bytes memory) {
        bytes32 digest = credits.authorisationDigest(application, orchestrator, limit, 9, nonce, deadline);
        return signature(makeKey("application"), digest);
    }

    function test_authoriseBySignature_once() public {
        bytes memory s = signed(100, 0, block.timestamp);
        credits.authoriseBySignature(application, orchestrator, 100, 9, block.timestamp, s);
        assertEq(remaining(0), 100, "authority");
        assertEq(credits.nonceOf(application), 1, "nonce");
        bytes memory refusal =
            abi.encodeWithSelector(IDataCredits.DataCredits_NotApplicationsSignature.selector, application);
        vm.expectRevert(refusal);
        credits.authoriseBySignature(application, orchestrator, 100, 9, block.timestamp, s);
    }

    function test_authoriseBySignature_refusesReplays() public {
        bytes memory s = signed(100, 0, block.timestamp);
        bytes memory refusal =
            abi.encodeWithSelector(IDataCredits.DataCredits_NotApplicationsSignature.selector, application);
        vm.expectRevert(refusal);
        credits.authoriseBySignature(application, orchestrator, 101, 9, block.timestamp, s);
        uint256 chain_ = block.chainid;
        vm.chainId(chain_ + 1);
        vm.expectRevert(refusal);
        credits.authoriseBySignature(application, orchestrator, 100, 9, block.timestamp, s);
        vm.chainId(chain_);
        DataCredits other = DataCredits(
            proxy(
                address(new DataCredits(hudl, oracle, parameters, proof, address(reserve))),
                abi.encodeCall(DataCredits.initialize, (address(access)))
            )
        );
        vm.expectRevert(refusal);
        other.authoriseBySignature(application, orchestrator, 100, 9, block.timestamp, s);
        vm.warp(block.timestamp + 1);
        vm.expectRevert(
            abi.encodeWithSelector(
                IDataCredits.DataCredits_SignatureExpired.selector, block.timestamp - 1, block.timestamp
            )
        );
        credits.authoriseBySignature(application, orchestrator, 100, 9, block.timestamp - 1, s);
    }

    function test_guardian_onlyPauses() public {
        vm.prank(guardian);
        credits.pause();
        vm.expectRevert(abi.encodeWithSignature("EnforcedPause()"));
        credits.buy(application, 1e18, 0);
        vm.prank(guardian);
        vm.expectRevert(abi.encodeWithSelector(IAccessManaged.AccessManagedUnauthorized.selector, guardian));
        credits.unpause();
        vm.prank(guardian);
        vm.expectRevert(abi.encodeWithSelector(IAccessManaged.AccessManagedUnauthorized.selector, guardian));
        credits.setBuyer(IHUDLBuyer(guardian));
        credits.unpause();
        buyCredits(application, 1e18);
    }

    /// @dev However an account is consumed, its escrow goes out whole with its last credit and never before.
    function testFuzz_charge_conservesEscrow(uint96 bought, uint64[5] memory parts) public {
        uint256 dc = buyCredits(application, uint256(bought) % 1e26 + 1e18);
        authorise(application, orchestrator, type(uint128).max, 9);
        uint256 escrow = credits.accountOf(application).escrowWei;
        uint256 released;
        for (uint256 i = 0; i < 5; i++) {
            uint256 left = credits.accountOf(application).dc;
            uint256 part = i == 4 ? left : bound(parts[i], 0, left);
            (, uint256 out) = chargeAt(0, application, orchestrator, uint128(part));
            released += out;
            assertEq(credits.accountOf(application).escrowWei, escrow - released, "escrow left");
            dc -= part;
        }
        assertEq(dc, 0, "credits left");
        assertEq(released, escrow, "escrow released");
        assertEq(hudl.balanceOf(address(credits)), 0, "HUDL left");
    }
}
