// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice The Reserve: the only minter of HUDL and the payer of pools (whitepaper 5.8).
interface IReserve {
    /// @notice Mints an epoch's rewards and burns what its credits burn; for ProofOfResource alone.
    function mintForEpoch(uint64 epoch, uint256 mintWei, uint256 fillerWei, uint256 burnWei, uint256 keptWei) external;

    /// @notice Moves HUDL to a pool; for Rewards alone.
    function payPool(address pool, uint256 amount) external;

    /// @notice Pays a committer or claimant from the gas allowance.
    function reimburse(address to, uint256 amount) external;
}
