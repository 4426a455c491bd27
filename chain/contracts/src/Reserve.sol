// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {IEpochClock} from "./interfaces/IEpochClock.sol";
import {IHUDL} from "./interfaces/IHUDL.sol";
import {IProofOfResource} from "./interfaces/IProofOfResource.sol";
import {IReserve} from "./interfaces/IReserve.sol";

/// @notice See IReserve.
contract Reserve is IReserve, AccessManaged {
    using SafeCast for uint256;
    using SafeERC20 for IHUDL;

    /// @dev Gas that a receiver of ether may use: enough for a wallet contract, too little to come back in.
    uint256 private constant _RECEIVER_GAS = 10_000;

    IHUDL private immutable _hudl;
    address private immutable _proofOfResource;
    address private immutable _rewards;
    IEpochClock private immutable _clock;

    /// @dev Owed to pools and minted as filler: the two purses that are counted. Kept is the rest of the balance.
    uint120 private _owed;
    uint120 private _filler;
    /// @dev Whether the gas allowance is above 0: here, so that callers learn it from a slot that they need anyway.
    bool private _reimburses;

    GasAllowance private _allowance;
    uint64 private _reimbursedEpoch;
    uint128 private _reimbursed;

    constructor(IHUDL hudl, address proofOfResource, address rewards, IEpochClock clock, address authority)
        AccessManaged(authority)
    {
        _hudl = hudl;
        _proofOfResource = proofOfResource;
        _rewards = rewards;
        _clock = clock;
    }

    /// @notice Ether for reimbursements.
    receive() external payable {}

    modifier onlyProofOfResource() {
        if (msg.sender != _proofOfResource) revert Reserve_NotProofOfResource(msg.sender);
        _;
    }

    /// @inheritdoc IReserve
    function mintForEpoch(uint64, uint256 mintWei, uint256 fillerWei, uint256 burnWei, uint256)
        external
        override
        onlyProofOfResource
        returns (bool reimburses)
    {
        (_owed, _filler) = ((_owed + mintWei).toUint120(), (_filler + fillerWei).toUint120());
        reimburses = _reimburses;
        if (mintWei + fillerWei != 0) _hudl.mint(address(this), mintWei + fillerWei);
        if (burnWei != 0) _hudl.burn(burnWei);
    }

    /// @inheritdoc IReserve
    function burnForReplacement(uint64, uint256 amount) external override onlyProofOfResource {
        _owed = _lessOwed(amount);
        _hudl.burn(amount);
    }

    /// @inheritdoc IReserve
    function payPool(address pool, uint256 amount) external override returns (bool reimburses) {
        if (msg.sender != _rewards) revert Reserve_NotRewards(msg.sender);
        _owed = _lessOwed(amount);
        reimburses = _reimburses;
        _hudl.safeTransfer(pool, amount);
    }

    /// @inheritdoc IReserve
    function reimburse(address to, uint256 gasUsed) external override {
        if (msg.sender != _proofOfResource && msg.sender != _rewards) revert Reserve_NotReimburser(msg.sender);
        GasAllowance memory a = _allowance;
        uint64 epoch = _clock.currentEpoch();
        uint256 spent = epoch == _reimbursedEpoch ? _reimbursed : 0;
        uint256 price = _min(tx.gasprice, block.basefee + a.tipPerGas);
        uint256 amount = _min(_min(gasUsed, a.gasPerCall) * price, a.weiPerEpoch > spent ? a.weiPerEpoch - spent : 0);
        amount = _min(amount, address(this).balance);
        if (amount == 0) return;
        (_reimbursedEpoch, _reimbursed) = (epoch, (spent + amount).toUint128());
        (bool sent,) = to.call{value: amount, gas: _RECEIVER_GAS}("");
        if (sent) emit Reimbursed(to, amount);
    }

    /// @inheritdoc IReserve
    function owed() external view override returns (uint256) {
        return _owed;
    }

    /// @inheritdoc IReserve
    function kept() public view override returns (uint256) {
        return _hudl.balanceOf(address(this)) - _owed - _filler;
    }

    /// @inheritdoc IReserve
    function filler() external view override returns (uint256) {
        return _filler;
    }

    /// @inheritdoc IReserve
    function gasAllowance() external view override returns (GasAllowance memory) {
        return _allowance;
    }

    /// @inheritdoc IReserve
    function spendKept(address to, uint256 amount) external override restricted {
        // Of what an epoch brings in a part is burned once it has all come.
        IProofOfResource.Standing memory last = IProofOfResource(_proofOfResource).standing();
        if (last.status == IProofOfResource.Status.Charging) {
            revert IProofOfResource.ProofOfResource_LastEpochOpen(last.lastEpoch, last.status);
        }
        uint256 most = kept();
        if (amount > most) revert Reserve_MoreThanKept(amount, most);
        emit KeptSpent(to, amount);
        _hudl.safeTransfer(to, amount);
    }

    /// @inheritdoc IReserve
    function spendFiller(address to, uint256 amount) external override restricted {
        if (amount > _filler) revert Reserve_MoreThanFiller(amount, _filler);
        _filler -= amount.toUint120();
        emit FillerSpent(to, amount);
        _hudl.safeTransfer(to, amount);
    }

    /// @inheritdoc IReserve
    function setGasAllowance(GasAllowance calldata allowance) external override restricted {
        _allowance = allowance;
        _reimburses = allowance.weiPerEpoch != 0;
        emit GasAllowanceSet(allowance);
    }

    function _lessOwed(uint256 amount) private view returns (uint120) {
        uint120 owed_ = _owed;
        if (amount > owed_) revert Reserve_MoreThanOwed(amount, owed_);
        return owed_ - uint120(amount);
    }

    function _min(uint256 a, uint256 b) private pure returns (uint256) {
        return a < b ? a : b;
    }
}
