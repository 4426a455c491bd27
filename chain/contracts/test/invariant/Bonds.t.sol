// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessManager} from "@openzeppelin/contracts/access/manager/AccessManager.sol";
import {ERC1967Proxy} from "@openzeppelin/contracts/proxy/ERC1967/ERC1967Proxy.sol";
import {Test} from "../base/Test.sol";
import {Bonds} from "../../src/Bonds.sol";
import {HUDL} from "../../src/HUDL.sol";
import {IBonds, Kind} from "../../src/interfaces/IBonds.sol";
import {IHUDL} from "../../src/interfaces/IHUDL.sol";
import {EpochCommit} from "../../src/types/EpochCommit.sol";
import {Receipt} from "../../src/types/Receipt.sol";

/// @notice Owners of bonds, governance, and whoever finds two statements that contradict each other.
contract BondActors is Test {
    uint256 public constant IDENTITIES = 5;

    HUDL public hudl;
    Bonds public bonds;
    address private _owner = vm.addr(7777);
    address[] public identity;
    uint256 public forfeited;
    uint256 public calls;

    modifier counted() {
        ++calls;
        _;
    }

    constructor() {
        for (uint256 i = 0; i < IDENTITIES; ++i) identity.push(vm.addr(1000 + i));
        vm.warp(1_700_000_000);
        AccessManager access = new AccessManager(address(this));
        hudl = new HUDL(address(this), new IHUDL.Allocation[](0));
        Bonds.Terms[3] memory terms = [Bonds.Terms(100, 10 days), Bonds.Terms(50, 5 days), Bonds.Terms(10, 1 days)];
        address logic = address(new Bonds(hudl, address(0x7e5), address(0x9001), address(0x9002)));
        bonds = Bonds(address(new ERC1967Proxy(logic, abi.encodeCall(Bonds.initialize, (address(access), terms)))));
        hudl.mint(_owner, 1e24);
        vm.prank(_owner);
        hudl.approve(address(bonds), type(uint256).max);
    }

    function place(uint256 i, uint8 k, uint96 amount) external counted {
        (Kind kind, address who) = (Kind(k % 3), identity[i % IDENTITIES]);
        if (bonds.bondOf(kind, who).readyAt != 0) return;
        (uint96 minimum,) = bonds.terms(kind);
        amount = uint96(bound(amount, minimum == 0 ? 1 : minimum, minimum + 1000));
        bytes memory consent =
            signature(1000 + i % IDENTITIES, bonds.consentDigest(kind, who, _owner, block.timestamp));
        vm.prank(_owner);
        bonds.bond(kind, who, amount, block.timestamp, consent);
    }

    function leave(uint256 i, uint8 k) external counted {
        (Kind kind, address who) = (Kind(k % 3), identity[i % IDENTITIES]);
        if (!bonds.isActive(kind, who)) return;
        vm.prank(_owner);
        bonds.startUnbonding(kind, who);
    }

    function takeBack(uint256 i, uint8 k) external counted {
        (Kind kind, address who) = (Kind(k % 3), identity[i % IDENTITIES]);
        IBonds.Bond memory b = bonds.bondOf(kind, who);
        if (b.readyAt == 0 || b.readyAt > block.timestamp) return;
        vm.prank(_owner);
        bonds.withdraw(kind, who);
    }

    function wait(uint256 time) external counted {
        vm.warp(block.timestamp + bound(time, 1, 6 days));
    }

    function admit(uint256 i) external counted {
        address who = identity[i % IDENTITIES];
        if (bonds.isReporter(who)) bonds.removeReporter(who);
        else if (bonds.isActive(Kind.Registry, who)) bonds.admitReporter(who);
    }

    function setTerms(uint8 k, uint96 minimum, uint32 unbonding) external counted {
        bonds.setTerms(Kind(k % 3), uint96(bound(minimum, 1, 500)), uint32(bound(unbonding, 0, 20 days)));
    }

    function contradict(uint256 i, bytes32 first, bytes32 second, uint64 epoch) external counted {
        if (first == second || i % 4 != 0) return;
        i %= IDENTITIES;
        EpochCommit memory a;
        EpochCommit memory b;
        (a.epoch, b.epoch, a.root, b.root) = (epoch, epoch, first, second);
        (, uint256 amount) = bonds.forfeitForCommits(
            a,
            signature(1000 + i, _digest("dRTC ProofOfResource", address(0x9001), a.structHash())),
            b,
            signature(1000 + i, _digest("dRTC ProofOfResource", address(0x9001), b.structHash()))
        );
        forfeited += amount;
    }

    function overcount(uint256 i, uint128 first, uint128 second) external counted {
        if (first == second || i % 4 != 0) return;
        i %= IDENTITIES;
        Receipt memory a = Receipt(address(1), identity[i], address(2), 3, 4, first, 0);
        Receipt memory b = Receipt(address(1), identity[i], address(2), 3, 4, second, 0);
        (, uint256 amount) = bonds.forfeitForReceipts(
            a,
            signature(1000 + i, _digest("dRTC DataCredits", address(0x9002), a.structHash())),
            b,
            signature(1000 + i, _digest("dRTC DataCredits", address(0x9002), b.structHash()))
        );
        forfeited += amount;
    }

    function _digest(string memory name, address verifying, bytes32 structHash) private view returns (bytes32) {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256(bytes(name)),
                keccak256("1"),
                block.chainid,
                verifying
            )
        );
        return keccak256(abi.encodePacked("\x19\x01", domain, structHash));
    }
}

contract BondsInvariantTest is Test {
    BondActors private actors;

    function setUp() public {
        actors = new BondActors();
        targetContract(address(actors));
    }

    function invariant_bonds() public view {
        if (actors.calls() % 8 == 0) afterInvariant();
    }

    function afterInvariant() public view {
        Bonds bonds = actors.bonds();
        uint256 sum;
        for (uint8 k = 0; k < 3; ++k) {
            uint256 active;
            for (uint256 i = 0; i < actors.IDENTITIES(); ++i) {
                IBonds.Bond memory b = bonds.bondOf(Kind(k), actors.identity(i));
                sum += b.amount;
                bool stands = b.amount != 0 && b.readyAt == 0;
                assertTrue(stands == bonds.isActive(Kind(k), actors.identity(i)), "who is active");
                assertTrue(b.amount != 0 || (b.owner == address(0) && b.readyAt == 0), "nothing is left of a bond");
                if (stands) ++active;
            }
            assertEq(bonds.activeCount(Kind(k)), active, "active");
        }
        assertEq(actors.hudl().balanceOf(address(bonds)), sum, "bonds and the HUDL that is held for them");
        assertEq(actors.hudl().balanceOf(address(0x7e5)), actors.forfeited(), "what was forfeited is the Reserve's");
        address[] memory reporters = bonds.reporters();
        for (uint256 i = 0; i < reporters.length; ++i) {
            assertTrue(bonds.isActive(Kind.Registry, reporters[i]), "a reporter is bonded");
        }
    }
}
