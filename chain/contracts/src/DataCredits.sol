// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessManagedUpgradeable} from
    "@openzeppelin/contracts-upgradeable/access/manager/AccessManagedUpgradeable.sol";
import {PausableUpgradeable} from "@openzeppelin/contracts-upgradeable/utils/PausableUpgradeable.sol";
import {UUPSUpgradeable} from "@openzeppelin/contracts/proxy/utils/UUPSUpgradeable.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {IDataCredits} from "./interfaces/IDataCredits.sol";
import {IEpochClock} from "./interfaces/IEpochClock.sol";
import {IHUDLBuyer} from "./interfaces/IHUDLBuyer.sol";
import {IPriceOracle} from "./interfaces/IPriceOracle.sol";
import {IProofOfResource} from "./interfaces/IProofOfResource.sol";
import {Credits} from "./libraries/Credits.sol";
import {Domain} from "./libraries/Domain.sol";
import {Charge, Charges} from "./types/Charge.sol";
import {NO_EPOCH} from "./types/Leaf.sol";

/// @notice See IDataCredits.
contract DataCredits is
    IDataCredits,
    UUPSUpgradeable,
    AccessManagedUpgradeable,
    PausableUpgradeable,
    ReentrancyGuardTransient
{
    using SafeCast for uint256;
    using SafeERC20 for IERC20;

    /// @dev A narrower authorisation holds from the next epoch; the one before is kept until its epochs are
    /// charged, so that a change never takes back what an Orchestrator has already served.
    struct Authorisations {
        Authorisation current;
        Authorisation previous;
    }

    /// @custom:storage-location erc7201:drtc.storage.DataCredits
    struct Store {
        mapping(address application => Account) accounts;
        mapping(address application => mapping(address orchestrator => Authorisations)) authorisations;
        mapping(address application => uint256) nonces;
        IHUDLBuyer buyer;
    }

    // keccak256(abi.encode(uint256(keccak256("drtc.storage.DataCredits")) - 1)) & ~bytes32(uint256(0xff))
    bytes32 private constant STORE = 0x5a612ba5cd724c47ea3458839ee6f2ee25f7450c7417da5f67e2c171421f8500;
    bytes32 private constant NAME_HASH = keccak256("dRTC DataCredits");
    bytes32 private constant AUTHORISATION_TYPEHASH = keccak256(
        "Authorisation(address application,address orchestrator,uint128 limitDC,uint64 endEpoch,uint256 nonce,uint256 deadline)"
    );

    IERC20 private immutable _hudl;
    IPriceOracle private immutable _oracle;
    IEpochClock private immutable _clock;
    IProofOfResource private immutable _proofOfResource;
    address private immutable _reserve;

    constructor(
        IERC20 hudl,
        IPriceOracle oracle,
        IEpochClock clock,
        IProofOfResource proofOfResource,
        address reserve
    ) {
        _hudl = hudl;
        _oracle = oracle;
        _clock = clock;
        _proofOfResource = proofOfResource;
        _reserve = reserve;
        _disableInitializers();
    }

    function initialize(address authority) external initializer {
        __AccessManaged_init(authority);
        __Pausable_init();
    }

    /// @inheritdoc IDataCredits
    function buy(address application, uint256 hudlWei, uint256 minDC)
        external
        override
        whenNotPaused
        nonReentrant
        returns (uint256 dc)
    {
        uint256 before = _hudl.balanceOf(address(this));
        _hudl.safeTransferFrom(msg.sender, address(this), hudlWei);
        return _credit(application, _hudl.balanceOf(address(this)) - before, minDC);
    }

    /// @inheritdoc IDataCredits
    function buyWithStable(address application, uint256 amount, uint256 minDC)
        external
        override
        whenNotPaused
        nonReentrant
        returns (uint256 dc)
    {
        IHUDLBuyer buyer_ = _store().buyer;
        if (address(buyer_) == address(0)) revert DataCredits_NoBuyer();
        uint256 before = _hudl.balanceOf(address(this));
        IERC20 stable = buyer_.stable();
        uint256 held = stable.balanceOf(address(buyer_));
        stable.safeTransferFrom(msg.sender, address(buyer_), amount);
        buyer_.turn(stable.balanceOf(address(buyer_)) - held);
        // What the buyer says does not count, only what came in.
        return _credit(application, _hudl.balanceOf(address(this)) - before, minDC);
    }

    /// @inheritdoc IDataCredits
    function authorise(address orchestrator, uint128 limitDC, uint64 endEpoch) external override whenNotPaused {
        _authorise(msg.sender, orchestrator, limitDC, endEpoch);
    }

    /// @inheritdoc IDataCredits
    function authoriseBySignature(
        address application,
        address orchestrator,
        uint128 limitDC,
        uint64 endEpoch,
        uint256 deadline,
        bytes calldata signature
    ) external override whenNotPaused {
        if (block.timestamp > deadline) revert DataCredits_SignatureExpired(deadline, block.timestamp);
        uint256 nonce = _store().nonces[application]++;
        bytes32 digest = authorisationDigest(application, orchestrator, limitDC, endEpoch, nonce, deadline);
        if (!SignatureChecker.isValidSignatureNow(application, digest, signature)) {
            revert DataCredits_NotApplicationsSignature(application);
        }
        _authorise(application, orchestrator, limitDC, endEpoch);
    }

    /// @inheritdoc IDataCredits
    function revoke(address orchestrator) external override {
        Authorisations storage a = _store().authorisations[msg.sender][orchestrator];
        uint64 epoch = _clock.currentEpoch();
        if (_isEmpty(a.current) || a.current.endEpoch < epoch) {
            revert DataCredits_NotAuthorised(msg.sender, orchestrator);
        }
        if (a.current.firstEpoch > epoch) {
            // It has not begun: what was before it ends with the current epoch anyway.
            a.current = a.previous;
            delete a.previous;
        } else {
            a.current.endEpoch = epoch;
        }
        emit Revoked(msg.sender, orchestrator, epoch);
    }

    /// @inheritdoc IDataCredits
    function charge(uint64 epoch, uint32 dcPerGB, Charge[] calldata charges)
        external
        override
        returns (uint256 consumedDC, uint256 escrowWei)
    {
        if (msg.sender != address(_proofOfResource)) revert DataCredits_NotProofOfResource(msg.sender);
        for (uint256 i = 0; i < charges.length; ++i) {
            (address application, address orchestrator, uint128 bytes_) = Charges.read(charges, i);
            uint256 dc = Credits.charge(bytes_, dcPerGB);
            uint256 wei_ = _charge(epoch, application, orchestrator, dc);
            // Each is below 2^132, and the charges fit into a block.
            unchecked {
                consumedDC += dc;
                escrowWei += wei_;
            }
        }
        if (escrowWei != 0) _hudl.safeTransfer(_reserve, escrowWei);
    }

    /// @inheritdoc IDataCredits
    function accountOf(address application) external view override returns (Account memory) {
        return _store().accounts[application];
    }

    /// @inheritdoc IDataCredits
    function authorisation(address application, address orchestrator, uint64 epoch)
        external
        view
        override
        returns (Authorisation memory a)
    {
        Authorisations storage all = _store().authorisations[application][orchestrator];
        if (_covers(all.current, epoch)) return all.current;
        if (_covers(all.previous, epoch)) return all.previous;
    }

    /// @inheritdoc IDataCredits
    function nonceOf(address application) external view override returns (uint256) {
        return _store().nonces[application];
    }

    /// @inheritdoc IDataCredits
    function authorisationDigest(
        address application,
        address orchestrator,
        uint128 limitDC,
        uint64 endEpoch,
        uint256 nonce,
        uint256 deadline
    ) public view override returns (bytes32) {
        bytes32 hash = keccak256(
            abi.encode(AUTHORISATION_TYPEHASH, application, orchestrator, limitDC, endEpoch, nonce, deadline)
        );
        return Domain.digest(NAME_HASH, address(this), hash);
    }

    /// @inheritdoc IDataCredits
    function buyer() external view override returns (IHUDLBuyer) {
        return _store().buyer;
    }

    /// @inheritdoc IDataCredits
    function setBuyer(IHUDLBuyer buyer_) external override restricted {
        _store().buyer = buyer_;
        emit BuyerSet(buyer_);
    }

    /// @inheritdoc IDataCredits
    function pause() external override restricted {
        _pause();
    }

    /// @inheritdoc IDataCredits
    function unpause() external override restricted {
        _unpause();
    }

    function _credit(address application, uint256 hudlWei, uint256 minDC) private returns (uint256 dc) {
        if (application == address(0)) revert DataCredits_NoApplication();
        uint256 price8 = _oracle.low();
        dc = Credits.bought(hudlWei, price8);
        if (dc < minDC || dc == 0) revert DataCredits_TooFew(dc, minDC == 0 ? 1 : minDC);
        Account storage account = _store().accounts[application];
        account.dc = (account.dc + dc).toUint128();
        account.escrowWei = (account.escrowWei + hudlWei).toUint128();
        emit Bought(application, msg.sender, hudlWei, dc, price8);
    }

    function _authorise(address application, address orchestrator, uint128 limitDC, uint64 endEpoch) private {
        Authorisations storage all = _store().authorisations[application][orchestrator];
        Authorisation memory a = all.current;
        uint64 epoch = _clock.currentEpoch();
        bool inForce = !_isEmpty(a) && a.endEpoch >= epoch;
        if (!(inForce && limitDC >= a.remainingDC && endEpoch >= a.endEpoch)) {
            uint64 first = inForce ? epoch + 1 : epoch;
            // One that has begun and has credits left may still be charged for epochs that are not committed.
            if (a.remainingDC != 0 && a.firstEpoch < first) {
                _retire(all, a, epoch);
            }
            a.firstEpoch = first;
        }
        if (endEpoch < a.firstEpoch) revert DataCredits_EndBeforeStart(endEpoch, a.firstEpoch);
        (a.remainingDC, a.endEpoch) = (limitDC, endEpoch);
        all.current = a;
        emit Authorised(application, orchestrator, limitDC, a.firstEpoch, endEpoch);
    }

    function _retire(Authorisations storage all, Authorisation memory a, uint64 epoch) private {
        Authorisation memory p = all.previous;
        if (p.remainingDC != 0) {
            IProofOfResource.Standing memory last = _proofOfResource.standing();
            // The last epoch may still be waiting for charges.
            bool isCharged = last.lastEpoch > p.endEpoch
                || (last.lastEpoch == p.endEpoch && last.status != IProofOfResource.Status.Charging);
            if (last.lastEpoch == NO_EPOCH || !isCharged) {
                revert DataCredits_EarlierAuthorisationOpen(p.endEpoch, last.lastEpoch);
            }
        }
        all.previous = Authorisation(a.remainingDC, a.firstEpoch, a.endEpoch < epoch ? a.endEpoch : epoch);
    }

    /// @dev The application pays as far as its authorisation and its credits go, the Orchestrator pays the rest.
    function _charge(uint64 epoch, address application, address orchestrator, uint256 dc)
        private
        returns (uint256 escrowWei)
    {
        if (application != orchestrator) {
            (escrowWei, dc) = _chargeApplication(epoch, application, orchestrator, dc);
            if (dc == 0) return escrowWei;
            emit ChargedToOrchestrator(epoch, application, orchestrator, dc);
        }
        (uint256 more, uint256 paid) = _consume(_store().accounts[orchestrator], dc);
        if (paid < dc) revert DataCredits_Shortfall(application, orchestrator, dc - paid);
        return escrowWei + more;
    }

    /// @return escrowWei What leaves escrow.
    /// @return rest Credits that the application does not pay.
    function _chargeApplication(uint64 epoch, address application, address orchestrator, uint256 dc)
        private
        returns (uint256 escrowWei, uint256 rest)
    {
        Authorisations storage all = _store().authorisations[application][orchestrator];
        Authorisation storage a = all.current;
        uint256 word = _read(a);
        if (!_covers(word, epoch)) {
            a = all.previous;
            word = _read(a);
            if (!_covers(word, epoch)) return (0, dc);
        }
        uint256 remaining = uint128(word);
        uint256 part;
        (escrowWei, part) = _consume(_store().accounts[application], dc < remaining ? dc : remaining);
        // part is at most either, and remainingDC is the lowest field of the word.
        unchecked {
            _write(a, word - part);
            return (escrowWei, dc - part);
        }
    }

    /// @dev Takes up to `most` credits off an account and HUDL in proportion, rounded down; the last credit takes
    /// what is left.
    function _consume(Account storage account, uint256 most) private returns (uint256 escrowWei, uint256 dc) {
        (uint256 credits, uint256 escrow) = _read(account);
        dc = most < credits ? most : credits;
        if (dc == 0) return (0, 0);
        // All four are below 2^128, and neither part is more than what it is taken from.
        unchecked {
            escrowWei = dc == credits ? escrow : escrow * dc / credits;
            _write(account, credits - dc, escrow - escrowWei);
        }
    }

    // A charge reads and writes two slots. The compiler would read and write each once per field.

    function _read(Account storage a) private view returns (uint256 dc, uint256 escrowWei) {
        assembly ("memory-safe") {
            let word := sload(a.slot)
            dc := and(word, 0xffffffffffffffffffffffffffffffff)
            escrowWei := shr(128, word)
        }
    }

    function _write(Account storage a, uint256 dc, uint256 escrowWei) private {
        assembly ("memory-safe") {
            sstore(a.slot, or(dc, shl(128, escrowWei)))
        }
    }

    /// @return word remainingDC, above it firstEpoch, above that endEpoch.
    function _read(Authorisation storage a) private view returns (uint256 word) {
        assembly ("memory-safe") {
            word := sload(a.slot)
        }
    }

    function _write(Authorisation storage a, uint256 word) private {
        assembly ("memory-safe") {
            sstore(a.slot, word)
        }
    }

    function _covers(uint256 word, uint256 epoch) private pure returns (bool) {
        return uint64(word >> 128) <= epoch && epoch <= word >> 192;
    }

    function _covers(Authorisation memory a, uint64 epoch) private pure returns (bool) {
        return a.firstEpoch <= epoch && epoch <= a.endEpoch;
    }

    function _isEmpty(Authorisation memory a) private pure returns (bool) {
        return a.remainingDC == 0 && a.firstEpoch == 0 && a.endEpoch == 0;
    }

    function _authorizeUpgrade(address) internal override restricted {}

    function _store() private pure returns (Store storage s) {
        bytes32 slot = STORE;
        assembly ("memory-safe") {
            s.slot := slot
        }
    }
}
