// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice The Reserve (whitepaper 5.8): the only minter of HUDL. It mints what an epoch's nodes earned, burns
/// what the band lets it burn of the HUDL that came in for credits, keeps the rest apart, and pays pools. Three
/// purses never mix: what is owed to pools, what is kept (only governance spends it), and the filler of the band.
/// ProofOfResource's events tell of each epoch's mint and burn, those of Rewards of each payment.
interface IReserve {
    /// @notice Limits on reimbursements, in ether.
    /// @param weiPerEpoch Most that all callers get back in an epoch; 0 turns reimbursements off.
    /// @param gasPerCall Most gas that is paid back for one call.
    /// @param tipPerGas Most wei per gas paid back above the base fee, so that whoever makes blocks gains nothing.
    struct GasAllowance {
        uint128 weiPerEpoch;
        uint32 gasPerCall;
        uint64 tipPerGas;
    }

    event KeptSpent(address indexed to, uint256 amount);
    event FillerSpent(address indexed to, uint256 amount);
    event GasAllowanceSet(GasAllowance allowance);
    event Reimbursed(address indexed to, uint256 amount);

    error Reserve_NotProofOfResource(address caller);
    error Reserve_NotRewards(address caller);
    error Reserve_NotReimburser(address caller);
    error Reserve_MoreThanKept(uint256 amount, uint256 kept);
    error Reserve_MoreThanFiller(uint256 amount, uint256 filler);
    error Reserve_MoreThanOwed(uint256 amount, uint256 owed);

    /// @notice Mints an epoch's M and Y, burns B, keeps Q - B; for ProofOfResource alone. burnWei + keptWei came in
    /// from DataCredits before.
    /// @return reimburses Whether the Reserve pays gas back.
    function mintForEpoch(uint64 epoch, uint256 mintWei, uint256 fillerWei, uint256 burnWei, uint256 keptWei)
        external
        returns (bool reimburses);

    /// @notice Burns what a replaced commit had minted too much; for ProofOfResource alone.
    function burnForReplacement(uint64 epoch, uint256 amount) external;

    /// @notice Moves HUDL that was minted for rewards to a pool; for Rewards alone.
    /// @return reimburses Whether the Reserve pays gas back.
    function payPool(address pool, uint256 amount) external returns (bool reimburses);

    /// @notice Pays a committer or claimant back in ether for `gasUsed`, as far as the allowance goes; for
    /// ProofOfResource and Rewards alone. Never reverts for want of ether or a receiver that refuses it.
    function reimburse(address to, uint256 gasUsed) external;

    /// @notice HUDL minted for rewards and not yet paid.
    function owed() external view returns (uint256);

    /// @notice HUDL that only governance spends: Q - B of every epoch and whatever else was sent here.
    function kept() external view returns (uint256);

    /// @notice HUDL minted to fill the floor of the band.
    function filler() external view returns (uint256);

    function gasAllowance() external view returns (GasAllowance memory);

    /// @notice Spends from what is kept; for governance. Not while an epoch waits for charges: of what they bring in
    /// a part is to be burned.
    function spendKept(address to, uint256 amount) external;

    /// @notice Spends from the filler, for verified capacity; for governance.
    function spendFiller(address to, uint256 amount) external;

    /// @notice For governance.
    function setGasAllowance(GasAllowance calldata allowance) external;
}
