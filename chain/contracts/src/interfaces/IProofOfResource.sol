// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Charge} from "../types/Charge.sol";
import {EpochCommit} from "../types/EpochCommit.sol";

/// @notice The record of what nodes did, epoch by epoch (whitepaper 5.7). A quorum of reporters signs an epoch's
/// commit and anyone sends it. With its last charge the epoch's credits are consumed, its rewards minted and its
/// burn burned (spec/economics.md E16 to E24), then a challenge window opens, and after it anyone may claim.
///
/// S_C, the supply that the rules look at, is accounted here: the genesis supply and every epoch's M + Y - B.
interface IProofOfResource {
    /// @notice Where an epoch stands.
    enum Status {
        None,
        Open,
        Charging,
        Committed,
        Void
    }

    /// @notice What is kept of an epoch for ever.
    /// @param root Root of the leaves.
    /// @param mintTotal M in wei.
    /// @param paid Wei claimed of it.
    /// @param rMax Highest reward in wei per GB; the highest that a commit may carry while the epoch is open.
    /// @param parametersVersion Version of the parameters that its rewards use.
    /// @param committedAt When the commit came, seconds since 1970.
    /// @param isCut Whether payouts were cut; then each is payout0 * cap / rewardTotal.
    /// @param cap B + hiS in wei if it is cut, else 0.
    /// @param rewardTotal M0 in wei if it is cut, else 0.
    struct EpochRecord {
        bytes32 root;
        uint128 mintTotal;
        uint128 paid;
        uint96 rMax;
        uint24 parametersVersion;
        uint32 committedAt;
        Status status;
        bool isCut;
        uint128 cap;
        uint128 rewardTotal;
    }

    /// @notice What a claim of an epoch needs: the record without its accounts. `cap` is 0 if nothing was cut.
    struct ClaimTerms {
        bytes32 root;
        uint256 rMax;
        uint32 parametersVersion;
        uint256 cap;
        uint256 rewardTotal;
    }

    /// @notice Where the network stands.
    /// @param lastEpoch Last epoch committed; `NO_EPOCH` if none.
    /// @param windowEnds When its challenge window ends, seconds since 1970.
    /// @param betaBps Beta of the next epoch.
    /// @param supply S_C in wei.
    /// @param status Status of the last epoch.
    /// @param paused Whether commits are stopped.
    struct Standing {
        uint64 lastEpoch;
        uint64 windowEnds;
        uint16 betaBps;
        uint128 supply;
        Status status;
        bool paused;
    }

    /// @notice One signer's second commit of an epoch.
    /// @param firstSignature Its signature over the commit that stands.
    /// @param second Another commit of the same epoch.
    /// @param secondSignature Its signature over that one.
    struct Equivocation {
        bytes firstSignature;
        EpochCommit second;
        bytes secondSignature;
    }

    /// @notice What reporters need before they can sign an epoch stands fixed.
    event Opened(uint64 indexed epoch, uint32 parametersVersion, uint256 rMax, uint256 low8);
    event CommitteeRefreshed(address[] members);
    /// @notice A commit was taken. The transaction's input holds it whole, with its signatures.
    event Committed(uint64 indexed epoch, bytes32 indexed root, bytes32 dataHash);
    /// @notice All charges came: S_C, beta and the epoch's totals are settled.
    event Settled(
        uint64 indexed epoch,
        uint256 consumedDC,
        uint256 received,
        uint256 mintWei,
        uint256 burnWei,
        uint256 fillerWei,
        uint256 supply,
        uint16 betaBps
    );
    event Voided(uint64 indexed epoch, bytes32 indexed root, uint256 equivocators);
    event Replaced(uint64 indexed epoch, bytes32 indexed root, bytes32 dataHash);
    event ChargesAbandoned(uint64 indexed epoch);
    event Paused();
    event Unpaused();

    error ProofOfResource_Paused();
    error ProofOfResource_NotRewards(address caller);
    /// @notice The epoch is not after the last one committed.
    error ProofOfResource_EpochOrder(uint64 got, uint64 last);
    error ProofOfResource_EpochNotOver(uint64 epoch, uint64 currentEpoch);
    /// @notice The last epoch still waits for charges or for a replacement.
    error ProofOfResource_LastEpochOpen(uint64 epoch, Status status);
    error ProofOfResource_WindowOpen(uint64 epoch, uint256 until);
    error ProofOfResource_WindowOver(uint64 epoch, uint256 since);
    error ProofOfResource_PreviousRoot(bytes32 got, bytes32 want);
    error ProofOfResource_ParametersVersion(uint32 got, uint32 want);
    error ProofOfResource_RMaxTooHigh(uint256 got, uint256 most);
    error ProofOfResource_ProofsNotAscending(address previous, address identity);
    error ProofOfResource_ChargesNotAscending(address application, address orchestrator);
    error ProofOfResource_TooManyCharges(uint256 got, uint256 want);
    error ProofOfResource_ChargesHash(bytes32 got, bytes32 want);
    error ProofOfResource_ChargedBytes(uint256 got, uint256 want);
    error ProofOfResource_NoCharges();
    error ProofOfResource_NotCharging(uint64 epoch);
    error ProofOfResource_CreditsCap(uint256 consumedDC, uint256 mostDC);
    /// @notice M lies outside what M0 and the cut allow.
    error ProofOfResource_MintTotal(uint256 got, uint256 least, uint256 most);
    error ProofOfResource_TotalTooHigh(uint256 got, uint256 most);
    error ProofOfResource_NotTheCommit(uint64 epoch);
    error ProofOfResource_NotSigner(address identity);
    error ProofOfResource_QuorumRemains(uint256 remaining, uint256 quorum);
    error ProofOfResource_NotVoid(uint64 epoch);
    error ProofOfResource_ReplacementDiffers(uint64 epoch);
    error ProofOfResource_NotClaimable(uint64 epoch, Status status);
    error ProofOfResource_MoreThanMinted(uint64 epoch, uint256 amount, uint256 left);

    /// @notice Fixes the version of the parameters, the prices and so the highest rMax, and the previous root of an
    /// epoch that is over, and refreshes the committee. Reporters do this before they sign; a commit does it if
    /// nobody has. The window of the last epoch must be over.
    function open(uint64 epoch) external;

    /// @notice Renews the copy of Bonds' reporters that signatures are checked against. Opening an epoch and voiding
    /// one by proofs do it too, and anyone may, but not from a commit to the end of its window: by how many of its
    /// signers a commit stands must not change.
    function refreshCommittee() external;

    /// @notice Commits an epoch that is over.
    /// @param charges All of its charges, or none if they do not fit into a transaction.
    /// @param signatures 65 bytes R, S, V each, by signer's address strictly ascending.
    function commit(EpochCommit calldata c, Charge[] calldata charges, bytes[] calldata signatures) external;

    /// @notice Charges that did not fit into the commit's transaction, by anyone, from the last to the first. With
    /// the first of all the epoch is settled; an M that a cut does not allow any more is then the most that it allows.
    /// @param more The last ones of those that are left, ascending.
    /// @param before Hash of those before them (P7); 0 if there are none.
    function continueCharges(uint64 epoch, Charge[] calldata more, bytes32 before) external;

    /// @notice Voids the last epoch within its window, by proof that so many of its signers signed another commit
    /// of it that less than a quorum remains. Their bonds are forfeited.
    /// @param c The commit that stands, with the signers of its transaction in their order.
    /// @param proofs By signer's address strictly ascending.
    function voidEpoch(EpochCommit calldata c, address[] calldata signers, Equivocation[] calldata proofs) external;

    /// @notice Voids the last epoch within its window; for the guardian. Only a quorum can replace it.
    function voidByGuardian(EpochCommit calldata c, address[] calldata signers) external;

    /// @notice Replaces a void commit, by signatures over `replacementDigestOf`. Charges, totals of bytes and
    /// parameters stay, M0 may not grow; what the first had minted too much is burned. A new window opens.
    function replace(EpochCommit calldata c, bytes[] calldata signatures) external;

    /// @notice Gives up an epoch whose charges cannot be completed; for governance. What was charged stays charged,
    /// nothing is minted, and no commit of it is taken any more: the next one is that of a later epoch, and builds on
    /// the root before.
    function abandonCharges(uint64 epoch) external;

    /// @notice Counts claims against M; for Rewards alone.
    /// @return fewer Empty if these amounts are to be paid, else the amounts that are: Q may have moved since M was
    /// signed, so that the last claim of an epoch that was cut finds some wei less than its payout.
    function takeRewards(uint64[] calldata epochs, uint256[] calldata amounts)
        external
        returns (uint256[] memory fewer);

    /// @notice What a claim of each of these epochs needs; reverts if one cannot be claimed yet.
    function claimTerms(uint64[] calldata epochs) external view returns (ClaimTerms[] memory);

    /// @notice The record of an epoch.
    function epochs(uint64 epoch) external view returns (EpochRecord memory);

    function standing() external view returns (Standing memory);

    /// @notice Last epoch committed; `NO_EPOCH` if none.
    function lastEpoch() external view returns (uint64);

    /// @notice Reporters whose signatures count, by address ascending.
    function committee() external view returns (address[] memory);

    /// @notice Signatures that a commit needs: floor(2n/3) + 1 of the committee's n members.
    function quorum() external view returns (uint256);

    /// @notice Digest that reporters sign (EIP-712).
    function digestOf(EpochCommit calldata c) external view returns (bytes32);

    /// @notice Digest that reporters sign to replace the void commit (EIP-712): `Replacement(bytes32 voided,
    /// EpochCommit commit)`, with the struct hash of the void one.
    function replacementDigestOf(EpochCommit calldata c) external view returns (bytes32);

    /// @notice Stops commits; for the guardian.
    function pause() external;

    /// @notice For governance.
    function unpause() external;
}
