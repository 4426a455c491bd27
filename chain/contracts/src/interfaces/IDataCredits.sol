// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Charge} from "../types/Charge.sol";
import {IHUDLBuyer} from "./IHUDLBuyer.sol";

/// @notice Prepaid credits of applications (whitepaper 3.3), pegged to USD: 1 DC is 1e-5 USD. They cannot be
/// transferred or sold back. The HUDL that bought them lies in escrow here until they are consumed; then it goes
/// to the Reserve in the same proportion. An application lets Orchestrators consume its credits, each up to a
/// limit and an end.
interface IDataCredits {
    /// @notice An application's credits and the HUDL behind them.
    struct Account {
        uint128 dc;
        uint128 escrowWei;
    }

    /// @notice What an Orchestrator may still consume of an application's credits.
    /// @param remainingDC Credits left of the limit.
    /// @param firstEpoch First epoch that it covers.
    /// @param endEpoch Last epoch that it covers.
    struct Authorisation {
        uint128 remainingDC;
        uint64 firstEpoch;
        uint64 endEpoch;
    }

    event Bought(address indexed application, address indexed payer, uint256 hudlWei, uint256 dc, uint256 price8);
    event Authorised(
        address indexed application,
        address indexed orchestrator,
        uint256 limitDC,
        uint64 firstEpoch,
        uint64 endEpoch
    );
    event Revoked(address indexed application, address indexed orchestrator, uint64 lastEpoch);
    /// @notice The part of a charge that the Orchestrator paid itself, for want of authority or of credits.
    event ChargedToOrchestrator(
        uint64 indexed epoch, address indexed application, address indexed orchestrator, uint256 dc
    );
    event BuyerSet(IHUDLBuyer buyer);

    error DataCredits_NotProofOfResource(address caller);
    error DataCredits_TooFew(uint256 dc, uint256 least);
    error DataCredits_NoApplication();
    /// @notice Neither the application, as far as it allows, nor the Orchestrator can pay.
    error DataCredits_Shortfall(address application, address orchestrator, uint256 missingDC);
    error DataCredits_EndBeforeStart(uint64 endEpoch, uint64 firstEpoch);
    error DataCredits_NotAuthorised(address application, address orchestrator);
    /// @notice A narrower authorisation waits until the epochs of the one before the last are charged.
    error DataCredits_EarlierAuthorisationOpen(uint64 endEpoch, uint64 lastChargedEpoch);
    error DataCredits_SignatureExpired(uint256 deadline, uint256 now_);
    error DataCredits_NotApplicationsSignature(address application);
    error DataCredits_NoBuyer();

    /// @notice Buys credits for an application with the caller's HUDL at min(spot, average).
    /// @param minDC Least credits that the caller accepts.
    function buy(address application, uint256 hudlWei, uint256 minDC) external returns (uint256 dc);

    /// @notice Buys credits for an application with the caller's stablecoins.
    function buyWithStable(address application, uint256 amount, uint256 minDC) external returns (uint256 dc);

    /// @notice Lets an Orchestrator consume `limitDC` of the caller's credits from now on, up to and with
    /// `endEpoch`. One that widens the one in force holds at once, any other from the next epoch.
    function authorise(address orchestrator, uint128 limitDC, uint64 endEpoch) external;

    /// @notice The same by the application's signature (EIP-712; ERC-1271 for a contract), sent by anyone.
    /// @param deadline Until when the signature holds, seconds since 1970.
    function authoriseBySignature(
        address application,
        address orchestrator,
        uint128 limitDC,
        uint64 endEpoch,
        uint256 deadline,
        bytes calldata signature
    ) external;

    /// @notice Ends an Orchestrator's authority after the current epoch.
    function revoke(address orchestrator) external;

    /// @notice Charges an epoch's consumption and sends its escrow to the Reserve; for ProofOfResource alone.
    function charge(uint64 epoch, uint32 dcPerGB, Charge[] calldata charges)
        external
        returns (uint256 consumedDC, uint256 escrowWei);

    function accountOf(address application) external view returns (Account memory);

    /// @notice The authorisation that covers an epoch; empty if none does.
    function authorisation(address application, address orchestrator, uint64 epoch)
        external
        view
        returns (Authorisation memory);

    /// @notice Number that the application's next signature must carry.
    function nonceOf(address application) external view returns (uint256);

    function authorisationDigest(
        address application,
        address orchestrator,
        uint128 limitDC,
        uint64 endEpoch,
        uint256 nonce,
        uint256 deadline
    ) external view returns (bytes32);

    function buyer() external view returns (IHUDLBuyer);

    /// @notice For governance.
    function setBuyer(IHUDLBuyer buyer_) external;

    /// @notice Stops purchases and authorisations; for the guardian. Charges go on.
    function pause() external;

    /// @notice For governance.
    function unpause() external;
}
