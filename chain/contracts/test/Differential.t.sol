// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Domain} from "../src/libraries/Domain.sol";
import {RewardMath} from "../src/libraries/RewardMath.sol";
import {SupplyBand} from "../src/libraries/SupplyBand.sol";
import {Charge} from "../src/types/Charge.sol";
import {EpochCommit} from "../src/types/EpochCommit.sol";
import {Leaf} from "../src/types/Leaf.sol";
import {Tree} from "./base/Tree.sol";
import {Vectors} from "./base/Vectors.sol";

/// @notice Random epochs that the Go packages econ and epoch computed (spec/vectors/epoch.json): every hash, reward,
/// payout and total must come out the same, to the wei.
contract DifferentialTest is Vectors {
    using SupplyBand for SupplyBand.Projection;

    struct Rules {
        uint256[4] weights;
        uint256 k;
        int256 midpoint;
        uint256 vMin;
        uint256 wRelayBps;
        uint256 alphaBps;
        uint256 rMax;
    }

    /// @dev Where the file lies in memory. Every read of it copies it whole, so that what a read leaves in memory is
    /// given back at once: the memory of a test is not endless.
    uint256 private file;
    string private at;

    modifier frugal() {
        uint256 free;
        assembly {
            free := mload(0x40)
        }
        _;
        assembly {
            mstore(0x40, free)
        }
    }

    function open(string memory path) private {
        string memory text = vm.readFile(path);
        uint256 place;
        assembly {
            place := text
        }
        file = place;
    }

    function json() private view returns (string memory text) {
        uint256 place = file;
        assembly {
            text := place
        }
    }

    function number(string memory key) private view frugal returns (uint256) {
        return vm.parseJsonUint(json(), string.concat(at, key));
    }

    function integer(string memory key) private view frugal returns (int256) {
        return vm.parseJsonInt(json(), string.concat(at, key));
    }

    function flag(string memory key) private view frugal returns (bool) {
        return vm.parseJsonBool(json(), string.concat(at, key));
    }

    function account(string memory key) private view frugal returns (address) {
        return vm.parseJsonAddress(json(), string.concat(at, key));
    }

    function word(string memory key) private view frugal returns (bytes32) {
        return vm.parseJsonBytes32(json(), string.concat(at, key));
    }

    function exists(string memory key) private view frugal returns (bool) {
        return vm.keyExistsJson(json(), string.concat(at, key));
    }

    function test_epochs_sameAsGo() public {
        open("../../spec/vectors/epoch.json");
        address proof = account(".contract");
        vm.chainId(number(".chainId"));
        uint256 n;
        for (;; n++) {
            at = string.concat(".epochs[", vm.toString(n), "]");
            if (!exists(".leafCount")) break;
            checkCommit(readCommit(), proof);
            checkCharges();
            checkLeaves();
        }
        assertEq(n, 20, "epochs read");
    }

    function readCommit() private view returns (EpochCommit memory c) {
        c.epoch = uint64(number(".commit.epoch"));
        c.root = word(".commit.root");
        c.leafCount = uint32(number(".commit.leafCount"));
        c.totalBytes = number(".commit.totalBytes");
        c.rewardTotal = number(".commit.rewardTotal");
        c.mintTotal = number(".commit.mintTotal");
        c.chargesHash = word(".commit.chargesHash");
        c.chargeCount = uint32(number(".commit.chargeCount"));
        c.dataHash = word(".commit.dataHash");
        c.previousRoot = word(".commit.previousRoot");
        c.parametersVersion = uint32(number(".commit.parametersVersion"));
        c.rMax = number(".commit.rMax");
    }

    function checkCommit(EpochCommit memory c, address proof) private view {
        assertEq(c.structHash(), word(".structHash"), "struct hash");
        bytes32 digest = Domain.digest(keccak256("dRTC ProofOfResource"), proof, c.structHash());
        assertEq(digest, word(".digest"), "digest");
        assertEq(
            RewardMath.scale(number(".parameters.kappaBps"), number(".parameters.dcPerGB"), number(".price8High")),
            c.rMax,
            "rMax"
        );
        checkTotals(c);
    }

    function checkTotals(EpochCommit memory c) private view {
        uint256 received = number(".escrow");
        uint256 supply = number(".supply");
        SupplyBand.Projection memory b = SupplyBand.project(
            c.rewardTotal, received, supply, number(".betaBps"), number(".parameters.lo"), number(".parameters.hi")
        );
        assertEq(b.burnWei, number(".totals.burn"), "burn");
        uint256 filler =
            flag(".parameters.filler") ? b.filler(c.mintTotal) : 0;
        assertEq(filler, number(".totals.filler"), "filler");
        assertEq(received - b.burnWei, number(".totals.kept"), "kept");
        assertEq(supply + c.mintTotal + filler - b.burnWei, number(".totals.supply"), "supply");
        assertEq(b.nextBeta(received, number(".betaBps"), 200), number(".totals.betaBps"), "beta");
    }

    function checkCharges() private view {
        bytes32 hash;
        for (uint256 i = 0; i < number(".commit.chargeCount"); i++) {
            string memory key = string.concat(".charges[", vm.toString(i), "].");
            Charge memory c = Charge(
                account(string.concat(key, "application")),
                account(string.concat(key, "orchestrator")),
                uint128(number(string.concat(key, "bytes")))
            );
            hash = keccak256(abi.encode(hash, c.application, c.orchestrator, c.bytes_));
        }
        assertEq(hash, word(".commit.chargesHash"), "charges' hash");
    }

    function checkLeaves() private view {
        uint256 n = number(".commit.leafCount");
        Leaf[] memory leaves = new Leaf[](n);
        Rules memory r = readRules();
        uint256 total = number(".commit.rewardTotal");
        SupplyBand.Projection memory b = SupplyBand.project(
            total, number(".escrow"), number(".supply"), number(".betaBps"), number(".parameters.lo"), number(".parameters.hi")
        );
        (bool isCut, uint256 cap) = b.cut(total);
        for (uint256 i = 0; i < n; i++) {
            string memory key = string.concat(".leaves[", vm.toString(i), "].");
            leaves[i] = readLeaf(string.concat(key, "leaf."));
            assertEq(leaves[i].hash(), word(string.concat(key, "hash")), "leaf hash");
            uint256 gross = payout(leaves[i], r);
            assertEq(gross, number(string.concat(key, "gross")), "payout before the cut");
            assertEq(isCut ? gross * cap / total : gross, number(string.concat(key, "payout")), "payout");
        }
        assertEq(Tree.root(leaves), word(".commit.root"), "root");
    }

    function payout(Leaf memory l, Rules memory r) private pure returns (uint256) {
        if (l.quality < r.vMin) return 0;
        uint256 s = RewardMath.weigh(r.weights, l.availability, l.history, l.location, l.coverage);
        uint256 unit = RewardMath.unitReward(r.rMax, r.k, r.midpoint, s, l.quality);
        return RewardMath.payout(unit, RewardMath.rewardableBytes(l.clientBytes, l.relayBytes, r.wRelayBps), r.alphaBps);
    }

    function readRules() private view returns (Rules memory r) {
        r.weights = [
            number(".parameters.weightAvailability"),
            number(".parameters.weightHistory"),
            number(".parameters.weightLocation"),
            number(".parameters.weightCoverage")
        ];
        r.k = number(".parameters.k");
        r.midpoint = integer(".parameters.vMid")
            + integer(".parameters.vTau");
        r.vMin = number(".parameters.vMin");
        r.wRelayBps = number(".parameters.wRelayBps");
        r.alphaBps = number(".parameters.alphaBps");
        r.rMax = number(".commit.rMax");
    }

    function readLeaf(string memory key) private view returns (Leaf memory l) {
        l.version = uint8(number(string.concat(key, "version")));
        l.node = account(string.concat(key, "node"));
        l.epoch = uint64(number(string.concat(key, "epoch")));
        l.previousEpoch = uint64(number(string.concat(key, "previousEpoch")));
        l.availability = uint64(number(string.concat(key, "availability")));
        l.history = uint64(number(string.concat(key, "history")));
        l.location = uint64(number(string.concat(key, "location")));
        l.coverage = uint64(number(string.concat(key, "coverage")));
        l.quality = uint64(number(string.concat(key, "quality")));
        l.clientBytes = uint128(number(string.concat(key, "clientBytes")));
        l.relayBytes = uint128(number(string.concat(key, "relayBytes")));
        l.provenMbps = uint32(number(string.concat(key, "provenMbps")));
    }

    /// @dev Go's random points of the pure function, extremes among them, to the wei.
    function test_unitReward_sameAsGo() public {
        open("../../spec/vectors/economics.json");
        uint256 n;
        for (;; n++) {
            at = string.concat(".unitReward[", vm.toString(n), "].");
            if (!exists("r")) break;
            uint256 v = number("v");
            int256 midpoint =
                integer("vMid") + integer("vTau");
            uint256 r = RewardMath.unitReward(number("rMax"), number("k"), midpoint, number("s"), v);
            assertEq(v < number("vMin") ? 0 : r, number("r"), "unit reward");
        }
        assertEq(n, 240, "points read");
    }
}
