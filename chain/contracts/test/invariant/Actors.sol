// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Network} from "../base/Network.sol";
import {IMediaNodeKey} from "../../src/interfaces/IMediaNodeKey.sol";
import {Pool} from "../../src/Pool.sol";

/// @notice Everybody who acts on pools, each with what it may do: key holders, operators, Rewards, strangers and the
/// guardian. Calls that the contracts would refuse are not made, so that every revert is a defect. Beside the
/// contracts it keeps a table of who has delegated which key from when to when, and pays from it.
contract Actors is Network {
    uint256 public constant NODES = 3;
    uint256 public constant HOLDERS = 5;

    /// @dev A key in a pool: it counts in the epochs from..until-1.
    struct Stay {
        uint256 holder;
        uint256 key;
        uint64 from;
        uint64 until;
    }

    address[] public nodes;
    address[] public holders; // the first three operate nodes too
    mapping(uint256 node => Stay[]) private _stays;
    mapping(uint256 node => uint256) public dustOf;
    mapping(uint256 node => uint64) public unpaidFrom;
    mapping(uint256 node => uint256) public operatorOf;
    mapping(uint256 node => uint256) public gifts;
    mapping(uint256 node => mapping(uint256 holder => uint256)) public earned;
    mapping(uint256 node => mapping(uint256 holder => uint256)) public claimed;
    mapping(uint256 holder => uint256) public redeemed;
    mapping(uint256 holder => uint256) public withdrawn;
    uint256 public minted;
    uint256 public burned;
    uint256 public giftsToVeHudl;
    uint64 public epoch = 1;
    uint256 public calls;

    modifier counted() {
        ++calls;
        _;
    }

    constructor() {
        deployNetwork();
        for (uint256 i = 0; i < HOLDERS; ++i) holders.push(makeAddress(string.concat("holder", vm.toString(i))));
        for (uint256 i = 0; i < NODES; ++i) {
            string memory name = string.concat("node", vm.toString(i));
            (address node,) = createPool(name, holders[i], uint16(i * 1000));
            nodes.push(node);
            operatorOf[i] = i;
            giveKeys(holders[i + 1], 3);
        }
        toEpoch(epoch);
    }

    // Who looks at the contracts after a call needs them.
    function contracts() external view returns (address, address, address, address) {
        return (address(hudl), address(veHudl), address(keys), address(manager));
    }

    function poolAt(uint256 node) public view returns (Pool) {
        return Pool(manager.poolOf(nodes[node]));
    }

    // Key holders.

    function buy(uint256 holder) external counted {
        if (keys.totalSupply() >= 40) return;
        giveKeys(holders[holder % HOLDERS], 1);
    }

    function delegateKey(uint256 key, uint256 node) external counted {
        (uint256 id, IMediaNodeKey.Key memory k) = _key(key);
        node %= NODES;
        if (k.pool != 0 || k.epoch > epoch) return;
        delegate(k.owner, nodes[node], one(id));
        _stays[node].push(Stay(_holder(k.owner), id, epoch + 1, type(uint64).max));
    }

    function undelegateKey(uint256 key) external counted {
        (uint256 id, IMediaNodeKey.Key memory k) = _key(key);
        if (k.pool == 0) return;
        _end(k.pool - 1, id);
        undelegate(k.owner, nodes[k.pool - 1], one(id));
    }

    function sell(uint256 key, uint256 to) external counted {
        (uint256 id, IMediaNodeKey.Key memory k) = _key(key);
        if (k.pool != 0) _end(k.pool - 1, id);
        vm.prank(k.owner);
        keys.safeTransferFrom(k.owner, holders[to % HOLDERS], id, 1, "");
    }

    function redeem(uint256 holder, uint256 amount) external counted {
        holder %= HOLDERS;
        uint256 balance = veHudl.balanceOf(holders[holder]);
        if (balance == 0) return;
        amount = bound(amount, 1, balance);
        redeemed[holder] += amount;
        vm.prank(holders[holder]);
        veHudl.requestRedeem(amount);
    }

    function withdraw(uint256 holder, uint256 id) external counted {
        holder %= HOLDERS;
        address account = holders[holder];
        uint256 count = veHudl.redemptionCount(account);
        if (count == 0) return;
        id %= count;
        if (veHudl.redemption(account, id).amount == 0 || veHudl.redemption(account, id).readyAt > block.timestamp) return;
        withdrawn[holder] += veHudl.redemption(account, id).amount;
        vm.prank(account);
        veHudl.withdraw(id);
    }

    function burn(uint256 holder, uint256 amount) external counted {
        address account = holders[holder % HOLDERS];
        amount = bound(amount, 0, hudl.balanceOf(account));
        burned += amount;
        withdrawn[holder % HOLDERS] -= amount;
        vm.prank(account);
        hudl.burn(amount);
    }

    // Operators.

    function changeCommission(uint256 node, uint16 bps) external counted {
        node %= NODES;
        vm.prank(holders[operatorOf[node]]);
        manager.setCommission(nodes[node], uint16(bound(bps, 0, 3000)));
    }

    function handOver(uint256 node, uint256 to) external counted {
        node %= NODES;
        to %= HOLDERS;
        vm.prank(holders[operatorOf[node]]);
        manager.proposeOperator(nodes[node], holders[to]);
        vm.prank(holders[to]);
        manager.acceptOperator(nodes[node]);
        operatorOf[node] = to;
    }

    // Rewards, and time.

    function nextEpochs(uint256 count) external counted {
        epoch += uint64(bound(count, 1, 4));
        toEpoch(epoch);
    }

    /// @dev Pays some of the epochs that are over, in a batch; some had no leaf.
    function pay(uint256 node, uint256 random) external counted {
        if (manager.paused()) return;
        node %= NODES;
        uint64 first = unpaidFrom[node];
        uint64 end = first + uint64(bound(random, 1, 6));
        if (end > epoch) end = epoch;
        if (first >= end) return;
        uint64[] memory epochs = new uint64[](end - first);
        uint256[] memory amounts = new uint256[](end - first);
        uint256 n;
        for (uint64 e = first; e < end; ++e) {
            random = uint256(keccak256(abi.encode(random)));
            if (random % 5 == 0) continue;
            (epochs[n], amounts[n]) = (e, (random >> 8) % (random % 2 == 0 ? 30 : 1e24));
            _share(node, e, amounts[n]);
            minted += amounts[n];
            hudl.mint(address(poolAt(node)), amounts[n++]);
        }
        assembly ("memory-safe") {
            mstore(epochs, n)
            mstore(amounts, n)
        }
        unpaidFrom[node] = end;
        manager.distribute(nodes[node], epochs, amounts, uint32(random % 3) * 200);
    }

    // Strangers and the guardian.

    function claimFor(uint256 holder, uint256 node) external counted {
        if (manager.paused()) return;
        (holder, node) = (holder % HOLDERS, node % NODES);
        if (poolAt(node).owed(holders[holder]) == 0) return;
        vm.prank(makeAddress("stranger"));
        claimed[node][holder] += manager.claim(holders[holder], one(nodes[node]));
    }

    function gift(uint256 node, uint256 amount) external counted {
        amount = bound(amount, 0, 1e24);
        minted += amount;
        if (node % 4 == 3) {
            giftsToVeHudl += amount;
            hudl.mint(address(veHudl), amount);
        } else {
            gifts[node % NODES] += amount;
            hudl.mint(address(poolAt(node % NODES)), amount);
        }
    }

    function pauseOrGoOn(uint256 random) external counted {
        if (manager.paused()) {
            manager.unpause();
        } else if (random % 4 == 0) {
            vm.prank(guardian);
            manager.pause();
        }
    }

    function _key(uint256 key) private view returns (uint256 id, IMediaNodeKey.Key memory) {
        id = key % keys.totalSupply() + 1;
        return (id, keys.keyOf(id));
    }

    function _holder(address account) private view returns (uint256 i) {
        while (holders[i] != account) ++i;
    }

    function _end(uint256 node, uint256 id) private {
        Stay[] storage stays = _stays[node];
        for (uint256 i = 0; i < stays.length; ++i) {
            if (stays[i].key == id && stays[i].until == type(uint64).max) stays[i].until = epoch;
        }
    }

    function _share(uint256 node, uint64 e, uint256 amount) private {
        Stay[] storage stays = _stays[node];
        uint256 count;
        for (uint256 i = 0; i < stays.length; ++i) {
            if (stays[i].from <= e && e < stays[i].until) ++count;
        }
        if (count == 0) {
            earned[node][operatorOf[node]] += amount;
            return;
        }
        uint256 commission = amount * poolAt(node).commissionAt(e) / 10_000;
        uint256 rest = amount - commission + dustOf[node];
        earned[node][operatorOf[node]] += commission;
        dustOf[node] = rest % count;
        for (uint256 i = 0; i < stays.length; ++i) {
            if (stays[i].from <= e && e < stays[i].until) earned[node][stays[i].holder] += rest / count;
        }
    }
}
