// Code generated via abigen V2 - DO NOT EDIT.
// This file is a generated binding and any manual changes will be lost.

package bindings

import (
	"bytes"
	"errors"
	"math/big"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/accounts/abi/bind/v2"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
)

// Reference imports to suppress errors if they are not otherwise used.
var (
	_ = bytes.Equal
	_ = errors.New
	_ = big.NewInt
	_ = common.Big1
	_ = types.BloomLookup
	_ = abi.ConvertType
)

// BondsTerms is an auto generated low-level Go binding around an user-defined struct.
type BondsTerms struct {
	Minimum   *big.Int
	Unbonding uint32
}

// CheckpointsCheckpoint208 is an auto generated low-level Go binding around an user-defined struct.
type CheckpointsCheckpoint208 struct {
	Key   *big.Int
	Value *big.Int
}

// EpochCommit is an auto generated low-level Go binding around an user-defined struct.
type EpochCommit struct {
	Epoch             uint64
	Root              [32]byte
	LeafCount         uint32
	TotalBytes        *big.Int
	RewardTotal       *big.Int
	MintTotal         *big.Int
	ChargesHash       [32]byte
	ChargeCount       uint32
	DataHash          [32]byte
	PreviousRoot      [32]byte
	ParametersVersion uint32
	RMax              *big.Int
}

// GovernanceRules is an auto generated low-level Go binding around an user-defined struct.
type GovernanceRules struct {
	VotingDelay       *big.Int
	VotingPeriod      uint32
	ProposalThreshold *big.Int
	QuorumPercent     *big.Int
	LeastQuorum       *big.Int
}

// IBondsBond is an auto generated low-level Go binding around an user-defined struct.
type IBondsBond struct {
	Owner      common.Address
	Amount     *big.Int
	ReadyAt    uint64
	Generation uint64
}

// IHUDLAllocation is an auto generated low-level Go binding around an user-defined struct.
type IHUDLAllocation struct {
	Holder common.Address
	Amount *big.Int
}

// IMediaNodeKeyKey is an auto generated low-level Go binding around an user-defined struct.
type IMediaNodeKeyKey struct {
	Owner  common.Address
	Pool   uint32
	Epoch  *big.Int
	Region [3]byte
}

// IMediaNodeKeySale is an auto generated low-level Go binding around an user-defined struct.
type IMediaNodeKeySale struct {
	Price     *big.Int
	Remaining uint64
}

// IPoolManagerBounds is an auto generated low-level Go binding around an user-defined struct.
type IPoolManagerBounds struct {
	MaxKeys          uint32
	MbpsPerKey       uint32
	MaxActiveNodes   uint32
	MaxCommissionBps uint16
	CommissionNotice uint16
	Unbonding        uint16
}

// IVeHUDLRedemption is an auto generated low-level Go binding around an user-defined struct.
type IVeHUDLRedemption struct {
	Amount  *big.Int
	ReadyAt uint64
}

// Receipt is an auto generated low-level Go binding around an user-defined struct.
type Receipt struct {
	Application  common.Address
	Orchestrator common.Address
	Node         common.Address
	Epoch        uint64
	Sequence     uint64
	ClientBytes  *big.Int
	RelayBytes   *big.Int
}

// AccessManagerMetaData contains all meta data concerning the AccessManager contract.
var AccessManagerMetaData = bind.MetaData{
	ABI: "[{\"inputs\":[{\"internalType\":\"address\",\"name\":\"initialAdmin\",\"type\":\"address\"}],\"stateMutability\":\"nonpayable\",\"type\":\"constructor\"},{\"inputs\":[],\"name\":\"ADMIN_ROLE\",\"outputs\":[{\"internalType\":\"uint64\",\"name\":\"\",\"type\":\"uint64\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[],\"name\":\"PUBLIC_ROLE\",\"outputs\":[{\"internalType\":\"uint64\",\"name\":\"\",\"type\":\"uint64\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"caller\",\"type\":\"address\"},{\"internalType\":\"address\",\"name\":\"target\",\"type\":\"address\"},{\"internalType\":\"bytes4\",\"name\":\"selector\",\"type\":\"bytes4\"}],\"name\":\"canCall\",\"outputs\":[{\"internalType\":\"bool\",\"name\":\"immediate\",\"type\":\"bool\"},{\"internalType\":\"uint32\",\"name\":\"delay\",\"type\":\"uint32\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"caller\",\"type\":\"address\"},{\"internalType\":\"address\",\"name\":\"target\",\"type\":\"address\"},{\"internalType\":\"bytes\",\"name\":\"data\",\"type\":\"bytes\"}],\"name\":\"cancel\",\"outputs\":[{\"internalType\":\"uint32\",\"name\":\"\",\"type\":\"uint32\"}],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"caller\",\"type\":\"address\"},{\"internalType\":\"bytes\",\"name\":\"data\",\"type\":\"bytes\"}],\"name\":\"consumeScheduledOp\",\"outputs\":[],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"target\",\"type\":\"address\"},{\"internalType\":\"bytes\",\"name\":\"data\",\"type\":\"bytes\"}],\"name\":\"execute\",\"outputs\":[{\"internalType\":\"uint32\",\"name\":\"\",\"type\":\"uint32\"}],\"stateMutability\":\"payable\",\"type\":\"function\"},{\"inputs\":[],\"name\":\"expiration\",\"outputs\":[{\"internalType\":\"uint32\",\"name\":\"\",\"type\":\"uint32\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"uint64\",\"name\":\"roleId\",\"type\":\"uint64\"},{\"internalType\":\"address\",\"name\":\"account\",\"type\":\"address\"}],\"name\":\"getAccess\",\"outputs\":[{\"internalType\":\"uint48\",\"name\":\"since\",\"type\":\"uint48\"},{\"internalType\":\"uint32\",\"name\":\"currentDelay\",\"type\":\"uint32\"},{\"internalType\":\"uint32\",\"name\":\"pendingDelay\",\"type\":\"uint32\"},{\"internalType\":\"uint48\",\"name\":\"effect\",\"type\":\"uint48\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"bytes32\",\"name\":\"id\",\"type\":\"bytes32\"}],\"name\":\"getNonce\",\"outputs\":[{\"internalType\":\"uint32\",\"name\":\"\",\"type\":\"uint32\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"uint64\",\"name\":\"roleId\",\"type\":\"uint64\"}],\"name\":\"getRoleAdmin\",\"outputs\":[{\"internalType\":\"uint64\",\"name\":\"\",\"type\":\"uint64\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"uint64\",\"name\":\"roleId\",\"type\":\"uint64\"}],\"name\":\"getRoleGrantDelay\",\"outputs\":[{\"internalType\":\"uint32\",\"name\":\"\",\"type\":\"uint32\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"uint64\",\"name\":\"roleId\",\"type\":\"uint64\"}],\"name\":\"getRoleGuardian\",\"outputs\":[{\"internalType\":\"uint64\",\"name\":\"\",\"type\":\"uint64\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"bytes32\",\"name\":\"id\",\"type\":\"bytes32\"}],\"name\":\"getSchedule\",\"outputs\":[{\"internalType\":\"uint48\",\"name\":\"\",\"type\":\"uint48\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"target\",\"type\":\"address\"}],\"name\":\"getTargetAdminDelay\",\"outputs\":[{\"internalType\":\"uint32\",\"name\":\"\",\"type\":\"uint32\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"target\",\"type\":\"address\"},{\"internalType\":\"bytes4\",\"name\":\"selector\",\"type\":\"bytes4\"}],\"name\":\"getTargetFunctionRole\",\"outputs\":[{\"internalType\":\"uint64\",\"name\":\"\",\"type\":\"uint64\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"uint64\",\"name\":\"roleId\",\"type\":\"uint64\"},{\"internalType\":\"address\",\"name\":\"account\",\"type\":\"address\"},{\"internalType\":\"uint32\",\"name\":\"executionDelay\",\"type\":\"uint32\"}],\"name\":\"grantRole\",\"outputs\":[],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"uint64\",\"name\":\"roleId\",\"type\":\"uint64\"},{\"internalType\":\"address\",\"name\":\"account\",\"type\":\"address\"}],\"name\":\"hasRole\",\"outputs\":[{\"internalType\":\"bool\",\"name\":\"isMember\",\"type\":\"bool\"},{\"internalType\":\"uint32\",\"name\":\"executionDelay\",\"type\":\"uint32\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"caller\",\"type\":\"address\"},{\"internalType\":\"address\",\"name\":\"target\",\"type\":\"address\"},{\"internalType\":\"bytes\",\"name\":\"data\",\"type\":\"bytes\"}],\"name\":\"hashOperation\",\"outputs\":[{\"internalType\":\"bytes32\",\"name\":\"\",\"type\":\"bytes32\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"target\",\"type\":\"address\"}],\"name\":\"isTargetClosed\",\"outputs\":[{\"internalType\":\"bool\",\"name\":\"\",\"type\":\"bool\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"uint64\",\"name\":\"roleId\",\"type\":\"uint64\"},{\"internalType\":\"string\",\"name\":\"label\",\"type\":\"string\"}],\"name\":\"labelRole\",\"outputs\":[],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[],\"name\":\"minSetback\",\"outputs\":[{\"internalType\":\"uint32\",\"name\":\"\",\"type\":\"uint32\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"bytes[]\",\"name\":\"data\",\"type\":\"bytes[]\"}],\"name\":\"multicall\",\"outputs\":[{\"internalType\":\"bytes[]\",\"name\":\"results\",\"type\":\"bytes[]\"}],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"uint64\",\"name\":\"roleId\",\"type\":\"uint64\"},{\"internalType\":\"address\",\"name\":\"callerConfirmation\",\"type\":\"address\"}],\"name\":\"renounceRole\",\"outputs\":[],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"uint64\",\"name\":\"roleId\",\"type\":\"uint64\"},{\"internalType\":\"address\",\"name\":\"account\",\"type\":\"address\"}],\"name\":\"revokeRole\",\"outputs\":[],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"target\",\"type\":\"address\"},{\"internalType\":\"bytes\",\"name\":\"data\",\"type\":\"bytes\"},{\"internalType\":\"uint48\",\"name\":\"when\",\"type\":\"uint48\"}],\"name\":\"schedule\",\"outputs\":[{\"internalType\":\"bytes32\",\"name\":\"operationId\",\"type\":\"bytes32\"},{\"internalType\":\"uint32\",\"name\":\"nonce\",\"type\":\"uint32\"}],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"uint64\",\"name\":\"roleId\",\"type\":\"uint64\"},{\"internalType\":\"uint32\",\"name\":\"newDelay\",\"type\":\"uint32\"}],\"name\":\"setGrantDelay\",\"outputs\":[],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"uint64\",\"name\":\"roleId\",\"type\":\"uint64\"},{\"internalType\":\"uint64\",\"name\":\"admin\",\"type\":\"uint64\"}],\"name\":\"setRoleAdmin\",\"outputs\":[],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"uint64\",\"name\":\"roleId\",\"type\":\"uint64\"},{\"internalType\":\"uint64\",\"name\":\"guardian\",\"type\":\"uint64\"}],\"name\":\"setRoleGuardian\",\"outputs\":[],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"target\",\"type\":\"address\"},{\"internalType\":\"uint32\",\"name\":\"newDelay\",\"type\":\"uint32\"}],\"name\":\"setTargetAdminDelay\",\"outputs\":[],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"target\",\"type\":\"address\"},{\"internalType\":\"bool\",\"name\":\"closed\",\"type\":\"bool\"}],\"name\":\"setTargetClosed\",\"outputs\":[],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"target\",\"type\":\"address\"},{\"internalType\":\"bytes4[]\",\"name\":\"selectors\",\"type\":\"bytes4[]\"},{\"internalType\":\"uint64\",\"name\":\"roleId\",\"type\":\"uint64\"}],\"name\":\"setTargetFunctionRole\",\"outputs\":[],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"target\",\"type\":\"address\"},{\"internalType\":\"address\",\"name\":\"newAuthority\",\"type\":\"address\"}],\"name\":\"updateAuthority\",\"outputs\":[],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":true,\"internalType\":\"bytes32\",\"name\":\"operationId\",\"type\":\"bytes32\"},{\"indexed\":true,\"internalType\":\"uint32\",\"name\":\"nonce\",\"type\":\"uint32\"}],\"name\":\"OperationCanceled\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":true,\"internalType\":\"bytes32\",\"name\":\"operationId\",\"type\":\"bytes32\"},{\"indexed\":true,\"internalType\":\"uint32\",\"name\":\"nonce\",\"type\":\"uint32\"}],\"name\":\"OperationExecuted\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":true,\"internalType\":\"bytes32\",\"name\":\"operationId\",\"type\":\"bytes32\"},{\"indexed\":true,\"internalType\":\"uint32\",\"name\":\"nonce\",\"type\":\"uint32\"},{\"indexed\":false,\"internalType\":\"uint48\",\"name\":\"schedule\",\"type\":\"uint48\"},{\"indexed\":false,\"internalType\":\"address\",\"name\":\"caller\",\"type\":\"address\"},{\"indexed\":false,\"internalType\":\"address\",\"name\":\"target\",\"type\":\"address\"},{\"indexed\":false,\"internalType\":\"bytes\",\"name\":\"data\",\"type\":\"bytes\"}],\"name\":\"OperationScheduled\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":true,\"internalType\":\"uint64\",\"name\":\"roleId\",\"type\":\"uint64\"},{\"indexed\":true,\"internalType\":\"uint64\",\"name\":\"admin\",\"type\":\"uint64\"}],\"name\":\"RoleAdminChanged\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":true,\"internalType\":\"uint64\",\"name\":\"roleId\",\"type\":\"uint64\"},{\"indexed\":false,\"internalType\":\"uint32\",\"name\":\"delay\",\"type\":\"uint32\"},{\"indexed\":false,\"internalType\":\"uint48\",\"name\":\"since\",\"type\":\"uint48\"}],\"name\":\"RoleGrantDelayChanged\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":true,\"internalType\":\"uint64\",\"name\":\"roleId\",\"type\":\"uint64\"},{\"indexed\":true,\"internalType\":\"address\",\"name\":\"account\",\"type\":\"address\"},{\"indexed\":false,\"internalType\":\"uint32\",\"name\":\"delay\",\"type\":\"uint32\"},{\"indexed\":false,\"internalType\":\"uint48\",\"name\":\"since\",\"type\":\"uint48\"},{\"indexed\":false,\"internalType\":\"bool\",\"name\":\"newMember\",\"type\":\"bool\"}],\"name\":\"RoleGranted\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":true,\"internalType\":\"uint64\",\"name\":\"roleId\",\"type\":\"uint64\"},{\"indexed\":true,\"internalType\":\"uint64\",\"name\":\"guardian\",\"type\":\"uint64\"}],\"name\":\"RoleGuardianChanged\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":true,\"internalType\":\"uint64\",\"name\":\"roleId\",\"type\":\"uint64\"},{\"indexed\":false,\"internalType\":\"string\",\"name\":\"label\",\"type\":\"string\"}],\"name\":\"RoleLabel\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":true,\"internalType\":\"uint64\",\"name\":\"roleId\",\"type\":\"uint64\"},{\"indexed\":true,\"internalType\":\"address\",\"name\":\"account\",\"type\":\"address\"}],\"name\":\"RoleRevoked\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":true,\"internalType\":\"address\",\"name\":\"target\",\"type\":\"address\"},{\"indexed\":false,\"internalType\":\"uint32\",\"name\":\"delay\",\"type\":\"uint32\"},{\"indexed\":false,\"internalType\":\"uint48\",\"name\":\"since\",\"type\":\"uint48\"}],\"name\":\"TargetAdminDelayUpdated\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":true,\"internalType\":\"address\",\"name\":\"target\",\"type\":\"address\"},{\"indexed\":false,\"internalType\":\"bool\",\"name\":\"closed\",\"type\":\"bool\"}],\"name\":\"TargetClosed\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":true,\"internalType\":\"address\",\"name\":\"target\",\"type\":\"address\"},{\"indexed\":false,\"internalType\":\"bytes4\",\"name\":\"selector\",\"type\":\"bytes4\"},{\"indexed\":true,\"internalType\":\"uint64\",\"name\":\"roleId\",\"type\":\"uint64\"}],\"name\":\"TargetFunctionRoleUpdated\",\"type\":\"event\"},{\"inputs\":[{\"internalType\":\"bytes32\",\"name\":\"operationId\",\"type\":\"bytes32\"}],\"name\":\"AccessManagerAlreadyScheduled\",\"type\":\"error\"},{\"inputs\":[],\"name\":\"AccessManagerBadConfirmation\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"bytes32\",\"name\":\"operationId\",\"type\":\"bytes32\"}],\"name\":\"AccessManagerExpired\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"initialAdmin\",\"type\":\"address\"}],\"name\":\"AccessManagerInvalidInitialAdmin\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"bytes4\",\"name\":\"selector\",\"type\":\"bytes4\"}],\"name\":\"AccessManagerLockedFunction\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"uint64\",\"name\":\"roleId\",\"type\":\"uint64\"}],\"name\":\"AccessManagerLockedRole\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"bytes32\",\"name\":\"operationId\",\"type\":\"bytes32\"}],\"name\":\"AccessManagerNotReady\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"bytes32\",\"name\":\"operationId\",\"type\":\"bytes32\"}],\"name\":\"AccessManagerNotScheduled\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"msgsender\",\"type\":\"address\"},{\"internalType\":\"uint64\",\"name\":\"roleId\",\"type\":\"uint64\"}],\"name\":\"AccessManagerUnauthorizedAccount\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"caller\",\"type\":\"address\"},{\"internalType\":\"address\",\"name\":\"target\",\"type\":\"address\"},{\"internalType\":\"bytes4\",\"name\":\"selector\",\"type\":\"bytes4\"}],\"name\":\"AccessManagerUnauthorizedCall\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"msgsender\",\"type\":\"address\"},{\"internalType\":\"address\",\"name\":\"caller\",\"type\":\"address\"},{\"internalType\":\"address\",\"name\":\"target\",\"type\":\"address\"},{\"internalType\":\"bytes4\",\"name\":\"selector\",\"type\":\"bytes4\"}],\"name\":\"AccessManagerUnauthorizedCancel\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"target\",\"type\":\"address\"}],\"name\":\"AccessManagerUnauthorizedConsume\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"target\",\"type\":\"address\"}],\"name\":\"AddressEmptyCode\",\"type\":\"error\"},{\"inputs\":[],\"name\":\"FailedCall\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"uint256\",\"name\":\"balance\",\"type\":\"uint256\"},{\"internalType\":\"uint256\",\"name\":\"needed\",\"type\":\"uint256\"}],\"name\":\"InsufficientBalance\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"uint8\",\"name\":\"bits\",\"type\":\"uint8\"},{\"internalType\":\"uint256\",\"name\":\"value\",\"type\":\"uint256\"}],\"name\":\"SafeCastOverflowedUintDowncast\",\"type\":\"error\"}]",
	ID:  "afc8a63903570bc14e4cc737f50f23cac7",
}

// AccessManager is an auto generated Go binding around an Ethereum contract.
type AccessManager struct {
	abi abi.ABI
}

// GetABI returns the ABI associated with this contract binding.
func (c *AccessManager) GetABI() abi.ABI {
	return c.abi
}

// NewAccessManager creates a new instance of AccessManager.
func NewAccessManager() *AccessManager {
	parsed, err := AccessManagerMetaData.ParseABI()
	if err != nil {
		panic(errors.New("invalid ABI: " + err.Error()))
	}
	return &AccessManager{abi: *parsed}
}

// Instance creates a wrapper for a deployed contract instance at the given address.
// Use this to create the instance object passed to abigen v2 library functions Call, Transact, etc.
func (c *AccessManager) Instance(backend bind.ContractBackend, addr common.Address) *bind.BoundContract {
	return bind.NewBoundContract(addr, c.abi, backend, backend, backend)
}

// PackConstructor is the Go binding used to pack the parameters required for
// contract deployment.
//
// Solidity: constructor(address initialAdmin) returns()
func (accessManager *AccessManager) PackConstructor(initialAdmin common.Address) []byte {
	enc, err := accessManager.abi.Pack("", initialAdmin)
	if err != nil {
		panic(err)
	}
	return enc
}

// PackADMINROLE is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x75b238fc.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function ADMIN_ROLE() view returns(uint64)
func (accessManager *AccessManager) PackADMINROLE() []byte {
	enc, err := accessManager.abi.Pack("ADMIN_ROLE")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackADMINROLE is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x75b238fc.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function ADMIN_ROLE() view returns(uint64)
func (accessManager *AccessManager) TryPackADMINROLE() ([]byte, error) {
	return accessManager.abi.Pack("ADMIN_ROLE")
}

// UnpackADMINROLE is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x75b238fc.
//
// Solidity: function ADMIN_ROLE() view returns(uint64)
func (accessManager *AccessManager) UnpackADMINROLE(data []byte) (uint64, error) {
	out, err := accessManager.abi.Unpack("ADMIN_ROLE", data)
	if err != nil {
		return *new(uint64), err
	}
	out0 := *abi.ConvertType(out[0], new(uint64)).(*uint64)
	return out0, nil
}

// PackPUBLICROLE is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x3ca7c02a.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function PUBLIC_ROLE() view returns(uint64)
func (accessManager *AccessManager) PackPUBLICROLE() []byte {
	enc, err := accessManager.abi.Pack("PUBLIC_ROLE")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackPUBLICROLE is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x3ca7c02a.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function PUBLIC_ROLE() view returns(uint64)
func (accessManager *AccessManager) TryPackPUBLICROLE() ([]byte, error) {
	return accessManager.abi.Pack("PUBLIC_ROLE")
}

// UnpackPUBLICROLE is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x3ca7c02a.
//
// Solidity: function PUBLIC_ROLE() view returns(uint64)
func (accessManager *AccessManager) UnpackPUBLICROLE(data []byte) (uint64, error) {
	out, err := accessManager.abi.Unpack("PUBLIC_ROLE", data)
	if err != nil {
		return *new(uint64), err
	}
	out0 := *abi.ConvertType(out[0], new(uint64)).(*uint64)
	return out0, nil
}

// PackCanCall is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xb7009613.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function canCall(address caller, address target, bytes4 selector) view returns(bool immediate, uint32 delay)
func (accessManager *AccessManager) PackCanCall(caller common.Address, target common.Address, selector [4]byte) []byte {
	enc, err := accessManager.abi.Pack("canCall", caller, target, selector)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackCanCall is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xb7009613.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function canCall(address caller, address target, bytes4 selector) view returns(bool immediate, uint32 delay)
func (accessManager *AccessManager) TryPackCanCall(caller common.Address, target common.Address, selector [4]byte) ([]byte, error) {
	return accessManager.abi.Pack("canCall", caller, target, selector)
}

// AccessManagerCanCallOutput serves as a container for the return parameters of contract
// method CanCall.
type AccessManagerCanCallOutput struct {
	Immediate bool
	Delay     uint32
}

// UnpackCanCall is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xb7009613.
//
// Solidity: function canCall(address caller, address target, bytes4 selector) view returns(bool immediate, uint32 delay)
func (accessManager *AccessManager) UnpackCanCall(data []byte) (AccessManagerCanCallOutput, error) {
	out, err := accessManager.abi.Unpack("canCall", data)
	outstruct := new(AccessManagerCanCallOutput)
	if err != nil {
		return *outstruct, err
	}
	outstruct.Immediate = *abi.ConvertType(out[0], new(bool)).(*bool)
	outstruct.Delay = *abi.ConvertType(out[1], new(uint32)).(*uint32)
	return *outstruct, nil
}

// PackCancel is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xd6bb62c6.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function cancel(address caller, address target, bytes data) returns(uint32)
func (accessManager *AccessManager) PackCancel(caller common.Address, target common.Address, data []byte) []byte {
	enc, err := accessManager.abi.Pack("cancel", caller, target, data)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackCancel is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xd6bb62c6.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function cancel(address caller, address target, bytes data) returns(uint32)
func (accessManager *AccessManager) TryPackCancel(caller common.Address, target common.Address, data []byte) ([]byte, error) {
	return accessManager.abi.Pack("cancel", caller, target, data)
}

// UnpackCancel is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xd6bb62c6.
//
// Solidity: function cancel(address caller, address target, bytes data) returns(uint32)
func (accessManager *AccessManager) UnpackCancel(data []byte) (uint32, error) {
	out, err := accessManager.abi.Unpack("cancel", data)
	if err != nil {
		return *new(uint32), err
	}
	out0 := *abi.ConvertType(out[0], new(uint32)).(*uint32)
	return out0, nil
}

// PackConsumeScheduledOp is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x94c7d7ee.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function consumeScheduledOp(address caller, bytes data) returns()
func (accessManager *AccessManager) PackConsumeScheduledOp(caller common.Address, data []byte) []byte {
	enc, err := accessManager.abi.Pack("consumeScheduledOp", caller, data)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackConsumeScheduledOp is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x94c7d7ee.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function consumeScheduledOp(address caller, bytes data) returns()
func (accessManager *AccessManager) TryPackConsumeScheduledOp(caller common.Address, data []byte) ([]byte, error) {
	return accessManager.abi.Pack("consumeScheduledOp", caller, data)
}

// PackExecute is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x1cff79cd.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function execute(address target, bytes data) payable returns(uint32)
func (accessManager *AccessManager) PackExecute(target common.Address, data []byte) []byte {
	enc, err := accessManager.abi.Pack("execute", target, data)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackExecute is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x1cff79cd.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function execute(address target, bytes data) payable returns(uint32)
func (accessManager *AccessManager) TryPackExecute(target common.Address, data []byte) ([]byte, error) {
	return accessManager.abi.Pack("execute", target, data)
}

// UnpackExecute is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x1cff79cd.
//
// Solidity: function execute(address target, bytes data) payable returns(uint32)
func (accessManager *AccessManager) UnpackExecute(data []byte) (uint32, error) {
	out, err := accessManager.abi.Unpack("execute", data)
	if err != nil {
		return *new(uint32), err
	}
	out0 := *abi.ConvertType(out[0], new(uint32)).(*uint32)
	return out0, nil
}

// PackExpiration is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x4665096d.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function expiration() view returns(uint32)
func (accessManager *AccessManager) PackExpiration() []byte {
	enc, err := accessManager.abi.Pack("expiration")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackExpiration is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x4665096d.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function expiration() view returns(uint32)
func (accessManager *AccessManager) TryPackExpiration() ([]byte, error) {
	return accessManager.abi.Pack("expiration")
}

// UnpackExpiration is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x4665096d.
//
// Solidity: function expiration() view returns(uint32)
func (accessManager *AccessManager) UnpackExpiration(data []byte) (uint32, error) {
	out, err := accessManager.abi.Unpack("expiration", data)
	if err != nil {
		return *new(uint32), err
	}
	out0 := *abi.ConvertType(out[0], new(uint32)).(*uint32)
	return out0, nil
}

// PackGetAccess is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x3078f114.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function getAccess(uint64 roleId, address account) view returns(uint48 since, uint32 currentDelay, uint32 pendingDelay, uint48 effect)
func (accessManager *AccessManager) PackGetAccess(roleId uint64, account common.Address) []byte {
	enc, err := accessManager.abi.Pack("getAccess", roleId, account)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackGetAccess is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x3078f114.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function getAccess(uint64 roleId, address account) view returns(uint48 since, uint32 currentDelay, uint32 pendingDelay, uint48 effect)
func (accessManager *AccessManager) TryPackGetAccess(roleId uint64, account common.Address) ([]byte, error) {
	return accessManager.abi.Pack("getAccess", roleId, account)
}

// AccessManagerGetAccessOutput serves as a container for the return parameters of contract
// method GetAccess.
type AccessManagerGetAccessOutput struct {
	Since        *big.Int
	CurrentDelay uint32
	PendingDelay uint32
	Effect       *big.Int
}

// UnpackGetAccess is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x3078f114.
//
// Solidity: function getAccess(uint64 roleId, address account) view returns(uint48 since, uint32 currentDelay, uint32 pendingDelay, uint48 effect)
func (accessManager *AccessManager) UnpackGetAccess(data []byte) (AccessManagerGetAccessOutput, error) {
	out, err := accessManager.abi.Unpack("getAccess", data)
	outstruct := new(AccessManagerGetAccessOutput)
	if err != nil {
		return *outstruct, err
	}
	outstruct.Since = abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	outstruct.CurrentDelay = *abi.ConvertType(out[1], new(uint32)).(*uint32)
	outstruct.PendingDelay = *abi.ConvertType(out[2], new(uint32)).(*uint32)
	outstruct.Effect = abi.ConvertType(out[3], new(big.Int)).(*big.Int)
	return *outstruct, nil
}

// PackGetNonce is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x4136a33c.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function getNonce(bytes32 id) view returns(uint32)
func (accessManager *AccessManager) PackGetNonce(id [32]byte) []byte {
	enc, err := accessManager.abi.Pack("getNonce", id)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackGetNonce is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x4136a33c.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function getNonce(bytes32 id) view returns(uint32)
func (accessManager *AccessManager) TryPackGetNonce(id [32]byte) ([]byte, error) {
	return accessManager.abi.Pack("getNonce", id)
}

// UnpackGetNonce is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x4136a33c.
//
// Solidity: function getNonce(bytes32 id) view returns(uint32)
func (accessManager *AccessManager) UnpackGetNonce(data []byte) (uint32, error) {
	out, err := accessManager.abi.Unpack("getNonce", data)
	if err != nil {
		return *new(uint32), err
	}
	out0 := *abi.ConvertType(out[0], new(uint32)).(*uint32)
	return out0, nil
}

// PackGetRoleAdmin is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x530dd456.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function getRoleAdmin(uint64 roleId) view returns(uint64)
func (accessManager *AccessManager) PackGetRoleAdmin(roleId uint64) []byte {
	enc, err := accessManager.abi.Pack("getRoleAdmin", roleId)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackGetRoleAdmin is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x530dd456.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function getRoleAdmin(uint64 roleId) view returns(uint64)
func (accessManager *AccessManager) TryPackGetRoleAdmin(roleId uint64) ([]byte, error) {
	return accessManager.abi.Pack("getRoleAdmin", roleId)
}

// UnpackGetRoleAdmin is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x530dd456.
//
// Solidity: function getRoleAdmin(uint64 roleId) view returns(uint64)
func (accessManager *AccessManager) UnpackGetRoleAdmin(data []byte) (uint64, error) {
	out, err := accessManager.abi.Unpack("getRoleAdmin", data)
	if err != nil {
		return *new(uint64), err
	}
	out0 := *abi.ConvertType(out[0], new(uint64)).(*uint64)
	return out0, nil
}

// PackGetRoleGrantDelay is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x12be8727.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function getRoleGrantDelay(uint64 roleId) view returns(uint32)
func (accessManager *AccessManager) PackGetRoleGrantDelay(roleId uint64) []byte {
	enc, err := accessManager.abi.Pack("getRoleGrantDelay", roleId)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackGetRoleGrantDelay is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x12be8727.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function getRoleGrantDelay(uint64 roleId) view returns(uint32)
func (accessManager *AccessManager) TryPackGetRoleGrantDelay(roleId uint64) ([]byte, error) {
	return accessManager.abi.Pack("getRoleGrantDelay", roleId)
}

// UnpackGetRoleGrantDelay is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x12be8727.
//
// Solidity: function getRoleGrantDelay(uint64 roleId) view returns(uint32)
func (accessManager *AccessManager) UnpackGetRoleGrantDelay(data []byte) (uint32, error) {
	out, err := accessManager.abi.Unpack("getRoleGrantDelay", data)
	if err != nil {
		return *new(uint32), err
	}
	out0 := *abi.ConvertType(out[0], new(uint32)).(*uint32)
	return out0, nil
}

// PackGetRoleGuardian is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x0b0a93ba.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function getRoleGuardian(uint64 roleId) view returns(uint64)
func (accessManager *AccessManager) PackGetRoleGuardian(roleId uint64) []byte {
	enc, err := accessManager.abi.Pack("getRoleGuardian", roleId)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackGetRoleGuardian is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x0b0a93ba.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function getRoleGuardian(uint64 roleId) view returns(uint64)
func (accessManager *AccessManager) TryPackGetRoleGuardian(roleId uint64) ([]byte, error) {
	return accessManager.abi.Pack("getRoleGuardian", roleId)
}

// UnpackGetRoleGuardian is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x0b0a93ba.
//
// Solidity: function getRoleGuardian(uint64 roleId) view returns(uint64)
func (accessManager *AccessManager) UnpackGetRoleGuardian(data []byte) (uint64, error) {
	out, err := accessManager.abi.Unpack("getRoleGuardian", data)
	if err != nil {
		return *new(uint64), err
	}
	out0 := *abi.ConvertType(out[0], new(uint64)).(*uint64)
	return out0, nil
}

// PackGetSchedule is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x3adc277a.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function getSchedule(bytes32 id) view returns(uint48)
func (accessManager *AccessManager) PackGetSchedule(id [32]byte) []byte {
	enc, err := accessManager.abi.Pack("getSchedule", id)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackGetSchedule is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x3adc277a.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function getSchedule(bytes32 id) view returns(uint48)
func (accessManager *AccessManager) TryPackGetSchedule(id [32]byte) ([]byte, error) {
	return accessManager.abi.Pack("getSchedule", id)
}

// UnpackGetSchedule is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x3adc277a.
//
// Solidity: function getSchedule(bytes32 id) view returns(uint48)
func (accessManager *AccessManager) UnpackGetSchedule(data []byte) (*big.Int, error) {
	out, err := accessManager.abi.Unpack("getSchedule", data)
	if err != nil {
		return new(big.Int), err
	}
	out0 := abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	return out0, nil
}

// PackGetTargetAdminDelay is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x4c1da1e2.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function getTargetAdminDelay(address target) view returns(uint32)
func (accessManager *AccessManager) PackGetTargetAdminDelay(target common.Address) []byte {
	enc, err := accessManager.abi.Pack("getTargetAdminDelay", target)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackGetTargetAdminDelay is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x4c1da1e2.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function getTargetAdminDelay(address target) view returns(uint32)
func (accessManager *AccessManager) TryPackGetTargetAdminDelay(target common.Address) ([]byte, error) {
	return accessManager.abi.Pack("getTargetAdminDelay", target)
}

// UnpackGetTargetAdminDelay is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x4c1da1e2.
//
// Solidity: function getTargetAdminDelay(address target) view returns(uint32)
func (accessManager *AccessManager) UnpackGetTargetAdminDelay(data []byte) (uint32, error) {
	out, err := accessManager.abi.Unpack("getTargetAdminDelay", data)
	if err != nil {
		return *new(uint32), err
	}
	out0 := *abi.ConvertType(out[0], new(uint32)).(*uint32)
	return out0, nil
}

// PackGetTargetFunctionRole is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x6d5115bd.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function getTargetFunctionRole(address target, bytes4 selector) view returns(uint64)
func (accessManager *AccessManager) PackGetTargetFunctionRole(target common.Address, selector [4]byte) []byte {
	enc, err := accessManager.abi.Pack("getTargetFunctionRole", target, selector)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackGetTargetFunctionRole is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x6d5115bd.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function getTargetFunctionRole(address target, bytes4 selector) view returns(uint64)
func (accessManager *AccessManager) TryPackGetTargetFunctionRole(target common.Address, selector [4]byte) ([]byte, error) {
	return accessManager.abi.Pack("getTargetFunctionRole", target, selector)
}

// UnpackGetTargetFunctionRole is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x6d5115bd.
//
// Solidity: function getTargetFunctionRole(address target, bytes4 selector) view returns(uint64)
func (accessManager *AccessManager) UnpackGetTargetFunctionRole(data []byte) (uint64, error) {
	out, err := accessManager.abi.Unpack("getTargetFunctionRole", data)
	if err != nil {
		return *new(uint64), err
	}
	out0 := *abi.ConvertType(out[0], new(uint64)).(*uint64)
	return out0, nil
}

// PackGrantRole is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x25c471a0.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function grantRole(uint64 roleId, address account, uint32 executionDelay) returns()
func (accessManager *AccessManager) PackGrantRole(roleId uint64, account common.Address, executionDelay uint32) []byte {
	enc, err := accessManager.abi.Pack("grantRole", roleId, account, executionDelay)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackGrantRole is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x25c471a0.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function grantRole(uint64 roleId, address account, uint32 executionDelay) returns()
func (accessManager *AccessManager) TryPackGrantRole(roleId uint64, account common.Address, executionDelay uint32) ([]byte, error) {
	return accessManager.abi.Pack("grantRole", roleId, account, executionDelay)
}

// PackHasRole is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xd1f856ee.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function hasRole(uint64 roleId, address account) view returns(bool isMember, uint32 executionDelay)
func (accessManager *AccessManager) PackHasRole(roleId uint64, account common.Address) []byte {
	enc, err := accessManager.abi.Pack("hasRole", roleId, account)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackHasRole is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xd1f856ee.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function hasRole(uint64 roleId, address account) view returns(bool isMember, uint32 executionDelay)
func (accessManager *AccessManager) TryPackHasRole(roleId uint64, account common.Address) ([]byte, error) {
	return accessManager.abi.Pack("hasRole", roleId, account)
}

// AccessManagerHasRoleOutput serves as a container for the return parameters of contract
// method HasRole.
type AccessManagerHasRoleOutput struct {
	IsMember       bool
	ExecutionDelay uint32
}

// UnpackHasRole is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xd1f856ee.
//
// Solidity: function hasRole(uint64 roleId, address account) view returns(bool isMember, uint32 executionDelay)
func (accessManager *AccessManager) UnpackHasRole(data []byte) (AccessManagerHasRoleOutput, error) {
	out, err := accessManager.abi.Unpack("hasRole", data)
	outstruct := new(AccessManagerHasRoleOutput)
	if err != nil {
		return *outstruct, err
	}
	outstruct.IsMember = *abi.ConvertType(out[0], new(bool)).(*bool)
	outstruct.ExecutionDelay = *abi.ConvertType(out[1], new(uint32)).(*uint32)
	return *outstruct, nil
}

// PackHashOperation is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xabd9bd2a.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function hashOperation(address caller, address target, bytes data) view returns(bytes32)
func (accessManager *AccessManager) PackHashOperation(caller common.Address, target common.Address, data []byte) []byte {
	enc, err := accessManager.abi.Pack("hashOperation", caller, target, data)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackHashOperation is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xabd9bd2a.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function hashOperation(address caller, address target, bytes data) view returns(bytes32)
func (accessManager *AccessManager) TryPackHashOperation(caller common.Address, target common.Address, data []byte) ([]byte, error) {
	return accessManager.abi.Pack("hashOperation", caller, target, data)
}

// UnpackHashOperation is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xabd9bd2a.
//
// Solidity: function hashOperation(address caller, address target, bytes data) view returns(bytes32)
func (accessManager *AccessManager) UnpackHashOperation(data []byte) ([32]byte, error) {
	out, err := accessManager.abi.Unpack("hashOperation", data)
	if err != nil {
		return *new([32]byte), err
	}
	out0 := *abi.ConvertType(out[0], new([32]byte)).(*[32]byte)
	return out0, nil
}

// PackIsTargetClosed is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xa166aa89.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function isTargetClosed(address target) view returns(bool)
func (accessManager *AccessManager) PackIsTargetClosed(target common.Address) []byte {
	enc, err := accessManager.abi.Pack("isTargetClosed", target)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackIsTargetClosed is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xa166aa89.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function isTargetClosed(address target) view returns(bool)
func (accessManager *AccessManager) TryPackIsTargetClosed(target common.Address) ([]byte, error) {
	return accessManager.abi.Pack("isTargetClosed", target)
}

// UnpackIsTargetClosed is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xa166aa89.
//
// Solidity: function isTargetClosed(address target) view returns(bool)
func (accessManager *AccessManager) UnpackIsTargetClosed(data []byte) (bool, error) {
	out, err := accessManager.abi.Unpack("isTargetClosed", data)
	if err != nil {
		return *new(bool), err
	}
	out0 := *abi.ConvertType(out[0], new(bool)).(*bool)
	return out0, nil
}

// PackLabelRole is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x853551b8.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function labelRole(uint64 roleId, string label) returns()
func (accessManager *AccessManager) PackLabelRole(roleId uint64, label string) []byte {
	enc, err := accessManager.abi.Pack("labelRole", roleId, label)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackLabelRole is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x853551b8.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function labelRole(uint64 roleId, string label) returns()
func (accessManager *AccessManager) TryPackLabelRole(roleId uint64, label string) ([]byte, error) {
	return accessManager.abi.Pack("labelRole", roleId, label)
}

// PackMinSetback is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xcc1b6c81.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function minSetback() view returns(uint32)
func (accessManager *AccessManager) PackMinSetback() []byte {
	enc, err := accessManager.abi.Pack("minSetback")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackMinSetback is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xcc1b6c81.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function minSetback() view returns(uint32)
func (accessManager *AccessManager) TryPackMinSetback() ([]byte, error) {
	return accessManager.abi.Pack("minSetback")
}

// UnpackMinSetback is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xcc1b6c81.
//
// Solidity: function minSetback() view returns(uint32)
func (accessManager *AccessManager) UnpackMinSetback(data []byte) (uint32, error) {
	out, err := accessManager.abi.Unpack("minSetback", data)
	if err != nil {
		return *new(uint32), err
	}
	out0 := *abi.ConvertType(out[0], new(uint32)).(*uint32)
	return out0, nil
}

// PackMulticall is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xac9650d8.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function multicall(bytes[] data) returns(bytes[] results)
func (accessManager *AccessManager) PackMulticall(data [][]byte) []byte {
	enc, err := accessManager.abi.Pack("multicall", data)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackMulticall is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xac9650d8.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function multicall(bytes[] data) returns(bytes[] results)
func (accessManager *AccessManager) TryPackMulticall(data [][]byte) ([]byte, error) {
	return accessManager.abi.Pack("multicall", data)
}

// UnpackMulticall is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xac9650d8.
//
// Solidity: function multicall(bytes[] data) returns(bytes[] results)
func (accessManager *AccessManager) UnpackMulticall(data []byte) ([][]byte, error) {
	out, err := accessManager.abi.Unpack("multicall", data)
	if err != nil {
		return *new([][]byte), err
	}
	out0 := *abi.ConvertType(out[0], new([][]byte)).(*[][]byte)
	return out0, nil
}

// PackRenounceRole is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xfe0776f5.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function renounceRole(uint64 roleId, address callerConfirmation) returns()
func (accessManager *AccessManager) PackRenounceRole(roleId uint64, callerConfirmation common.Address) []byte {
	enc, err := accessManager.abi.Pack("renounceRole", roleId, callerConfirmation)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackRenounceRole is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xfe0776f5.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function renounceRole(uint64 roleId, address callerConfirmation) returns()
func (accessManager *AccessManager) TryPackRenounceRole(roleId uint64, callerConfirmation common.Address) ([]byte, error) {
	return accessManager.abi.Pack("renounceRole", roleId, callerConfirmation)
}

// PackRevokeRole is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xb7d2b162.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function revokeRole(uint64 roleId, address account) returns()
func (accessManager *AccessManager) PackRevokeRole(roleId uint64, account common.Address) []byte {
	enc, err := accessManager.abi.Pack("revokeRole", roleId, account)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackRevokeRole is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xb7d2b162.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function revokeRole(uint64 roleId, address account) returns()
func (accessManager *AccessManager) TryPackRevokeRole(roleId uint64, account common.Address) ([]byte, error) {
	return accessManager.abi.Pack("revokeRole", roleId, account)
}

// PackSchedule is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xf801a698.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function schedule(address target, bytes data, uint48 when) returns(bytes32 operationId, uint32 nonce)
func (accessManager *AccessManager) PackSchedule(target common.Address, data []byte, when *big.Int) []byte {
	enc, err := accessManager.abi.Pack("schedule", target, data, when)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackSchedule is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xf801a698.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function schedule(address target, bytes data, uint48 when) returns(bytes32 operationId, uint32 nonce)
func (accessManager *AccessManager) TryPackSchedule(target common.Address, data []byte, when *big.Int) ([]byte, error) {
	return accessManager.abi.Pack("schedule", target, data, when)
}

// AccessManagerScheduleOutput serves as a container for the return parameters of contract
// method Schedule.
type AccessManagerScheduleOutput struct {
	OperationId [32]byte
	Nonce       uint32
}

// UnpackSchedule is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xf801a698.
//
// Solidity: function schedule(address target, bytes data, uint48 when) returns(bytes32 operationId, uint32 nonce)
func (accessManager *AccessManager) UnpackSchedule(data []byte) (AccessManagerScheduleOutput, error) {
	out, err := accessManager.abi.Unpack("schedule", data)
	outstruct := new(AccessManagerScheduleOutput)
	if err != nil {
		return *outstruct, err
	}
	outstruct.OperationId = *abi.ConvertType(out[0], new([32]byte)).(*[32]byte)
	outstruct.Nonce = *abi.ConvertType(out[1], new(uint32)).(*uint32)
	return *outstruct, nil
}

// PackSetGrantDelay is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xa64d95ce.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function setGrantDelay(uint64 roleId, uint32 newDelay) returns()
func (accessManager *AccessManager) PackSetGrantDelay(roleId uint64, newDelay uint32) []byte {
	enc, err := accessManager.abi.Pack("setGrantDelay", roleId, newDelay)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackSetGrantDelay is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xa64d95ce.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function setGrantDelay(uint64 roleId, uint32 newDelay) returns()
func (accessManager *AccessManager) TryPackSetGrantDelay(roleId uint64, newDelay uint32) ([]byte, error) {
	return accessManager.abi.Pack("setGrantDelay", roleId, newDelay)
}

// PackSetRoleAdmin is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x30cae187.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function setRoleAdmin(uint64 roleId, uint64 admin) returns()
func (accessManager *AccessManager) PackSetRoleAdmin(roleId uint64, admin uint64) []byte {
	enc, err := accessManager.abi.Pack("setRoleAdmin", roleId, admin)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackSetRoleAdmin is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x30cae187.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function setRoleAdmin(uint64 roleId, uint64 admin) returns()
func (accessManager *AccessManager) TryPackSetRoleAdmin(roleId uint64, admin uint64) ([]byte, error) {
	return accessManager.abi.Pack("setRoleAdmin", roleId, admin)
}

// PackSetRoleGuardian is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x52962952.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function setRoleGuardian(uint64 roleId, uint64 guardian) returns()
func (accessManager *AccessManager) PackSetRoleGuardian(roleId uint64, guardian uint64) []byte {
	enc, err := accessManager.abi.Pack("setRoleGuardian", roleId, guardian)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackSetRoleGuardian is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x52962952.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function setRoleGuardian(uint64 roleId, uint64 guardian) returns()
func (accessManager *AccessManager) TryPackSetRoleGuardian(roleId uint64, guardian uint64) ([]byte, error) {
	return accessManager.abi.Pack("setRoleGuardian", roleId, guardian)
}

// PackSetTargetAdminDelay is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xd22b5989.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function setTargetAdminDelay(address target, uint32 newDelay) returns()
func (accessManager *AccessManager) PackSetTargetAdminDelay(target common.Address, newDelay uint32) []byte {
	enc, err := accessManager.abi.Pack("setTargetAdminDelay", target, newDelay)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackSetTargetAdminDelay is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xd22b5989.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function setTargetAdminDelay(address target, uint32 newDelay) returns()
func (accessManager *AccessManager) TryPackSetTargetAdminDelay(target common.Address, newDelay uint32) ([]byte, error) {
	return accessManager.abi.Pack("setTargetAdminDelay", target, newDelay)
}

// PackSetTargetClosed is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x167bd395.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function setTargetClosed(address target, bool closed) returns()
func (accessManager *AccessManager) PackSetTargetClosed(target common.Address, closed bool) []byte {
	enc, err := accessManager.abi.Pack("setTargetClosed", target, closed)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackSetTargetClosed is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x167bd395.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function setTargetClosed(address target, bool closed) returns()
func (accessManager *AccessManager) TryPackSetTargetClosed(target common.Address, closed bool) ([]byte, error) {
	return accessManager.abi.Pack("setTargetClosed", target, closed)
}

// PackSetTargetFunctionRole is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x08d6122d.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function setTargetFunctionRole(address target, bytes4[] selectors, uint64 roleId) returns()
func (accessManager *AccessManager) PackSetTargetFunctionRole(target common.Address, selectors [][4]byte, roleId uint64) []byte {
	enc, err := accessManager.abi.Pack("setTargetFunctionRole", target, selectors, roleId)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackSetTargetFunctionRole is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x08d6122d.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function setTargetFunctionRole(address target, bytes4[] selectors, uint64 roleId) returns()
func (accessManager *AccessManager) TryPackSetTargetFunctionRole(target common.Address, selectors [][4]byte, roleId uint64) ([]byte, error) {
	return accessManager.abi.Pack("setTargetFunctionRole", target, selectors, roleId)
}

// PackUpdateAuthority is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x18ff183c.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function updateAuthority(address target, address newAuthority) returns()
func (accessManager *AccessManager) PackUpdateAuthority(target common.Address, newAuthority common.Address) []byte {
	enc, err := accessManager.abi.Pack("updateAuthority", target, newAuthority)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackUpdateAuthority is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x18ff183c.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function updateAuthority(address target, address newAuthority) returns()
func (accessManager *AccessManager) TryPackUpdateAuthority(target common.Address, newAuthority common.Address) ([]byte, error) {
	return accessManager.abi.Pack("updateAuthority", target, newAuthority)
}

// AccessManagerOperationCanceled represents a OperationCanceled event raised by the AccessManager contract.
type AccessManagerOperationCanceled struct {
	OperationId [32]byte
	Nonce       uint32
	Raw         *types.Log // Blockchain specific contextual infos
}

const AccessManagerOperationCanceledEventName = "OperationCanceled"

// ContractEventName returns the user-defined event name.
func (AccessManagerOperationCanceled) ContractEventName() string {
	return AccessManagerOperationCanceledEventName
}

// UnpackOperationCanceledEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event OperationCanceled(bytes32 indexed operationId, uint32 indexed nonce)
func (accessManager *AccessManager) UnpackOperationCanceledEvent(log *types.Log) (*AccessManagerOperationCanceled, error) {
	event := "OperationCanceled"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != accessManager.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(AccessManagerOperationCanceled)
	if len(log.Data) > 0 {
		if err := accessManager.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range accessManager.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// AccessManagerOperationExecuted represents a OperationExecuted event raised by the AccessManager contract.
type AccessManagerOperationExecuted struct {
	OperationId [32]byte
	Nonce       uint32
	Raw         *types.Log // Blockchain specific contextual infos
}

const AccessManagerOperationExecutedEventName = "OperationExecuted"

// ContractEventName returns the user-defined event name.
func (AccessManagerOperationExecuted) ContractEventName() string {
	return AccessManagerOperationExecutedEventName
}

// UnpackOperationExecutedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event OperationExecuted(bytes32 indexed operationId, uint32 indexed nonce)
func (accessManager *AccessManager) UnpackOperationExecutedEvent(log *types.Log) (*AccessManagerOperationExecuted, error) {
	event := "OperationExecuted"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != accessManager.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(AccessManagerOperationExecuted)
	if len(log.Data) > 0 {
		if err := accessManager.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range accessManager.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// AccessManagerOperationScheduled represents a OperationScheduled event raised by the AccessManager contract.
type AccessManagerOperationScheduled struct {
	OperationId [32]byte
	Nonce       uint32
	Schedule    *big.Int
	Caller      common.Address
	Target      common.Address
	Data        []byte
	Raw         *types.Log // Blockchain specific contextual infos
}

const AccessManagerOperationScheduledEventName = "OperationScheduled"

// ContractEventName returns the user-defined event name.
func (AccessManagerOperationScheduled) ContractEventName() string {
	return AccessManagerOperationScheduledEventName
}

// UnpackOperationScheduledEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event OperationScheduled(bytes32 indexed operationId, uint32 indexed nonce, uint48 schedule, address caller, address target, bytes data)
func (accessManager *AccessManager) UnpackOperationScheduledEvent(log *types.Log) (*AccessManagerOperationScheduled, error) {
	event := "OperationScheduled"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != accessManager.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(AccessManagerOperationScheduled)
	if len(log.Data) > 0 {
		if err := accessManager.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range accessManager.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// AccessManagerRoleAdminChanged represents a RoleAdminChanged event raised by the AccessManager contract.
type AccessManagerRoleAdminChanged struct {
	RoleId uint64
	Admin  uint64
	Raw    *types.Log // Blockchain specific contextual infos
}

const AccessManagerRoleAdminChangedEventName = "RoleAdminChanged"

// ContractEventName returns the user-defined event name.
func (AccessManagerRoleAdminChanged) ContractEventName() string {
	return AccessManagerRoleAdminChangedEventName
}

// UnpackRoleAdminChangedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event RoleAdminChanged(uint64 indexed roleId, uint64 indexed admin)
func (accessManager *AccessManager) UnpackRoleAdminChangedEvent(log *types.Log) (*AccessManagerRoleAdminChanged, error) {
	event := "RoleAdminChanged"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != accessManager.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(AccessManagerRoleAdminChanged)
	if len(log.Data) > 0 {
		if err := accessManager.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range accessManager.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// AccessManagerRoleGrantDelayChanged represents a RoleGrantDelayChanged event raised by the AccessManager contract.
type AccessManagerRoleGrantDelayChanged struct {
	RoleId uint64
	Delay  uint32
	Since  *big.Int
	Raw    *types.Log // Blockchain specific contextual infos
}

const AccessManagerRoleGrantDelayChangedEventName = "RoleGrantDelayChanged"

// ContractEventName returns the user-defined event name.
func (AccessManagerRoleGrantDelayChanged) ContractEventName() string {
	return AccessManagerRoleGrantDelayChangedEventName
}

// UnpackRoleGrantDelayChangedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event RoleGrantDelayChanged(uint64 indexed roleId, uint32 delay, uint48 since)
func (accessManager *AccessManager) UnpackRoleGrantDelayChangedEvent(log *types.Log) (*AccessManagerRoleGrantDelayChanged, error) {
	event := "RoleGrantDelayChanged"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != accessManager.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(AccessManagerRoleGrantDelayChanged)
	if len(log.Data) > 0 {
		if err := accessManager.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range accessManager.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// AccessManagerRoleGranted represents a RoleGranted event raised by the AccessManager contract.
type AccessManagerRoleGranted struct {
	RoleId    uint64
	Account   common.Address
	Delay     uint32
	Since     *big.Int
	NewMember bool
	Raw       *types.Log // Blockchain specific contextual infos
}

const AccessManagerRoleGrantedEventName = "RoleGranted"

// ContractEventName returns the user-defined event name.
func (AccessManagerRoleGranted) ContractEventName() string {
	return AccessManagerRoleGrantedEventName
}

// UnpackRoleGrantedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event RoleGranted(uint64 indexed roleId, address indexed account, uint32 delay, uint48 since, bool newMember)
func (accessManager *AccessManager) UnpackRoleGrantedEvent(log *types.Log) (*AccessManagerRoleGranted, error) {
	event := "RoleGranted"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != accessManager.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(AccessManagerRoleGranted)
	if len(log.Data) > 0 {
		if err := accessManager.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range accessManager.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// AccessManagerRoleGuardianChanged represents a RoleGuardianChanged event raised by the AccessManager contract.
type AccessManagerRoleGuardianChanged struct {
	RoleId   uint64
	Guardian uint64
	Raw      *types.Log // Blockchain specific contextual infos
}

const AccessManagerRoleGuardianChangedEventName = "RoleGuardianChanged"

// ContractEventName returns the user-defined event name.
func (AccessManagerRoleGuardianChanged) ContractEventName() string {
	return AccessManagerRoleGuardianChangedEventName
}

// UnpackRoleGuardianChangedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event RoleGuardianChanged(uint64 indexed roleId, uint64 indexed guardian)
func (accessManager *AccessManager) UnpackRoleGuardianChangedEvent(log *types.Log) (*AccessManagerRoleGuardianChanged, error) {
	event := "RoleGuardianChanged"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != accessManager.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(AccessManagerRoleGuardianChanged)
	if len(log.Data) > 0 {
		if err := accessManager.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range accessManager.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// AccessManagerRoleLabel represents a RoleLabel event raised by the AccessManager contract.
type AccessManagerRoleLabel struct {
	RoleId uint64
	Label  string
	Raw    *types.Log // Blockchain specific contextual infos
}

const AccessManagerRoleLabelEventName = "RoleLabel"

// ContractEventName returns the user-defined event name.
func (AccessManagerRoleLabel) ContractEventName() string {
	return AccessManagerRoleLabelEventName
}

// UnpackRoleLabelEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event RoleLabel(uint64 indexed roleId, string label)
func (accessManager *AccessManager) UnpackRoleLabelEvent(log *types.Log) (*AccessManagerRoleLabel, error) {
	event := "RoleLabel"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != accessManager.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(AccessManagerRoleLabel)
	if len(log.Data) > 0 {
		if err := accessManager.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range accessManager.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// AccessManagerRoleRevoked represents a RoleRevoked event raised by the AccessManager contract.
type AccessManagerRoleRevoked struct {
	RoleId  uint64
	Account common.Address
	Raw     *types.Log // Blockchain specific contextual infos
}

const AccessManagerRoleRevokedEventName = "RoleRevoked"

// ContractEventName returns the user-defined event name.
func (AccessManagerRoleRevoked) ContractEventName() string {
	return AccessManagerRoleRevokedEventName
}

// UnpackRoleRevokedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event RoleRevoked(uint64 indexed roleId, address indexed account)
func (accessManager *AccessManager) UnpackRoleRevokedEvent(log *types.Log) (*AccessManagerRoleRevoked, error) {
	event := "RoleRevoked"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != accessManager.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(AccessManagerRoleRevoked)
	if len(log.Data) > 0 {
		if err := accessManager.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range accessManager.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// AccessManagerTargetAdminDelayUpdated represents a TargetAdminDelayUpdated event raised by the AccessManager contract.
type AccessManagerTargetAdminDelayUpdated struct {
	Target common.Address
	Delay  uint32
	Since  *big.Int
	Raw    *types.Log // Blockchain specific contextual infos
}

const AccessManagerTargetAdminDelayUpdatedEventName = "TargetAdminDelayUpdated"

// ContractEventName returns the user-defined event name.
func (AccessManagerTargetAdminDelayUpdated) ContractEventName() string {
	return AccessManagerTargetAdminDelayUpdatedEventName
}

// UnpackTargetAdminDelayUpdatedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event TargetAdminDelayUpdated(address indexed target, uint32 delay, uint48 since)
func (accessManager *AccessManager) UnpackTargetAdminDelayUpdatedEvent(log *types.Log) (*AccessManagerTargetAdminDelayUpdated, error) {
	event := "TargetAdminDelayUpdated"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != accessManager.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(AccessManagerTargetAdminDelayUpdated)
	if len(log.Data) > 0 {
		if err := accessManager.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range accessManager.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// AccessManagerTargetClosed represents a TargetClosed event raised by the AccessManager contract.
type AccessManagerTargetClosed struct {
	Target common.Address
	Closed bool
	Raw    *types.Log // Blockchain specific contextual infos
}

const AccessManagerTargetClosedEventName = "TargetClosed"

// ContractEventName returns the user-defined event name.
func (AccessManagerTargetClosed) ContractEventName() string {
	return AccessManagerTargetClosedEventName
}

// UnpackTargetClosedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event TargetClosed(address indexed target, bool closed)
func (accessManager *AccessManager) UnpackTargetClosedEvent(log *types.Log) (*AccessManagerTargetClosed, error) {
	event := "TargetClosed"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != accessManager.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(AccessManagerTargetClosed)
	if len(log.Data) > 0 {
		if err := accessManager.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range accessManager.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// AccessManagerTargetFunctionRoleUpdated represents a TargetFunctionRoleUpdated event raised by the AccessManager contract.
type AccessManagerTargetFunctionRoleUpdated struct {
	Target   common.Address
	Selector [4]byte
	RoleId   uint64
	Raw      *types.Log // Blockchain specific contextual infos
}

const AccessManagerTargetFunctionRoleUpdatedEventName = "TargetFunctionRoleUpdated"

// ContractEventName returns the user-defined event name.
func (AccessManagerTargetFunctionRoleUpdated) ContractEventName() string {
	return AccessManagerTargetFunctionRoleUpdatedEventName
}

// UnpackTargetFunctionRoleUpdatedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event TargetFunctionRoleUpdated(address indexed target, bytes4 selector, uint64 indexed roleId)
func (accessManager *AccessManager) UnpackTargetFunctionRoleUpdatedEvent(log *types.Log) (*AccessManagerTargetFunctionRoleUpdated, error) {
	event := "TargetFunctionRoleUpdated"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != accessManager.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(AccessManagerTargetFunctionRoleUpdated)
	if len(log.Data) > 0 {
		if err := accessManager.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range accessManager.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// UnpackError attempts to decode the provided error data using user-defined
// error definitions.
func (accessManager *AccessManager) UnpackError(raw []byte) (any, error) {
	if bytes.Equal(raw[:4], accessManager.abi.Errors["AccessManagerAlreadyScheduled"].ID.Bytes()[:4]) {
		return accessManager.UnpackAccessManagerAlreadyScheduledError(raw[4:])
	}
	if bytes.Equal(raw[:4], accessManager.abi.Errors["AccessManagerBadConfirmation"].ID.Bytes()[:4]) {
		return accessManager.UnpackAccessManagerBadConfirmationError(raw[4:])
	}
	if bytes.Equal(raw[:4], accessManager.abi.Errors["AccessManagerExpired"].ID.Bytes()[:4]) {
		return accessManager.UnpackAccessManagerExpiredError(raw[4:])
	}
	if bytes.Equal(raw[:4], accessManager.abi.Errors["AccessManagerInvalidInitialAdmin"].ID.Bytes()[:4]) {
		return accessManager.UnpackAccessManagerInvalidInitialAdminError(raw[4:])
	}
	if bytes.Equal(raw[:4], accessManager.abi.Errors["AccessManagerLockedFunction"].ID.Bytes()[:4]) {
		return accessManager.UnpackAccessManagerLockedFunctionError(raw[4:])
	}
	if bytes.Equal(raw[:4], accessManager.abi.Errors["AccessManagerLockedRole"].ID.Bytes()[:4]) {
		return accessManager.UnpackAccessManagerLockedRoleError(raw[4:])
	}
	if bytes.Equal(raw[:4], accessManager.abi.Errors["AccessManagerNotReady"].ID.Bytes()[:4]) {
		return accessManager.UnpackAccessManagerNotReadyError(raw[4:])
	}
	if bytes.Equal(raw[:4], accessManager.abi.Errors["AccessManagerNotScheduled"].ID.Bytes()[:4]) {
		return accessManager.UnpackAccessManagerNotScheduledError(raw[4:])
	}
	if bytes.Equal(raw[:4], accessManager.abi.Errors["AccessManagerUnauthorizedAccount"].ID.Bytes()[:4]) {
		return accessManager.UnpackAccessManagerUnauthorizedAccountError(raw[4:])
	}
	if bytes.Equal(raw[:4], accessManager.abi.Errors["AccessManagerUnauthorizedCall"].ID.Bytes()[:4]) {
		return accessManager.UnpackAccessManagerUnauthorizedCallError(raw[4:])
	}
	if bytes.Equal(raw[:4], accessManager.abi.Errors["AccessManagerUnauthorizedCancel"].ID.Bytes()[:4]) {
		return accessManager.UnpackAccessManagerUnauthorizedCancelError(raw[4:])
	}
	if bytes.Equal(raw[:4], accessManager.abi.Errors["AccessManagerUnauthorizedConsume"].ID.Bytes()[:4]) {
		return accessManager.UnpackAccessManagerUnauthorizedConsumeError(raw[4:])
	}
	if bytes.Equal(raw[:4], accessManager.abi.Errors["AddressEmptyCode"].ID.Bytes()[:4]) {
		return accessManager.UnpackAddressEmptyCodeError(raw[4:])
	}
	if bytes.Equal(raw[:4], accessManager.abi.Errors["FailedCall"].ID.Bytes()[:4]) {
		return accessManager.UnpackFailedCallError(raw[4:])
	}
	if bytes.Equal(raw[:4], accessManager.abi.Errors["InsufficientBalance"].ID.Bytes()[:4]) {
		return accessManager.UnpackInsufficientBalanceError(raw[4:])
	}
	if bytes.Equal(raw[:4], accessManager.abi.Errors["SafeCastOverflowedUintDowncast"].ID.Bytes()[:4]) {
		return accessManager.UnpackSafeCastOverflowedUintDowncastError(raw[4:])
	}
	return nil, errors.New("Unknown error")
}

// AccessManagerAccessManagerAlreadyScheduled represents a AccessManagerAlreadyScheduled error raised by the AccessManager contract.
type AccessManagerAccessManagerAlreadyScheduled struct {
	OperationId [32]byte
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error AccessManagerAlreadyScheduled(bytes32 operationId)
func AccessManagerAccessManagerAlreadyScheduledErrorID() common.Hash {
	return common.HexToHash("0x813e9459e53966c88032ec53fbd6e1058cc6feb1aff4ae0043d5b773e2ae0ef4")
}

// UnpackAccessManagerAlreadyScheduledError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error AccessManagerAlreadyScheduled(bytes32 operationId)
func (accessManager *AccessManager) UnpackAccessManagerAlreadyScheduledError(raw []byte) (*AccessManagerAccessManagerAlreadyScheduled, error) {
	out := new(AccessManagerAccessManagerAlreadyScheduled)
	if err := accessManager.abi.UnpackIntoInterface(out, "AccessManagerAlreadyScheduled", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// AccessManagerAccessManagerBadConfirmation represents a AccessManagerBadConfirmation error raised by the AccessManager contract.
type AccessManagerAccessManagerBadConfirmation struct {
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error AccessManagerBadConfirmation()
func AccessManagerAccessManagerBadConfirmationErrorID() common.Hash {
	return common.HexToHash("0x5f159e63bdf7fa483a8497c4d8f6afcaf0a66cc4f6ffe3be0c30213ac5334413")
}

// UnpackAccessManagerBadConfirmationError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error AccessManagerBadConfirmation()
func (accessManager *AccessManager) UnpackAccessManagerBadConfirmationError(raw []byte) (*AccessManagerAccessManagerBadConfirmation, error) {
	out := new(AccessManagerAccessManagerBadConfirmation)
	if err := accessManager.abi.UnpackIntoInterface(out, "AccessManagerBadConfirmation", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// AccessManagerAccessManagerExpired represents a AccessManagerExpired error raised by the AccessManager contract.
type AccessManagerAccessManagerExpired struct {
	OperationId [32]byte
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error AccessManagerExpired(bytes32 operationId)
func AccessManagerAccessManagerExpiredErrorID() common.Hash {
	return common.HexToHash("0x78a5d6e4cc0cfe57c6580d6da7ece47e380d660b94e1dd802140e6b1a0e4c9d0")
}

// UnpackAccessManagerExpiredError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error AccessManagerExpired(bytes32 operationId)
func (accessManager *AccessManager) UnpackAccessManagerExpiredError(raw []byte) (*AccessManagerAccessManagerExpired, error) {
	out := new(AccessManagerAccessManagerExpired)
	if err := accessManager.abi.UnpackIntoInterface(out, "AccessManagerExpired", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// AccessManagerAccessManagerInvalidInitialAdmin represents a AccessManagerInvalidInitialAdmin error raised by the AccessManager contract.
type AccessManagerAccessManagerInvalidInitialAdmin struct {
	InitialAdmin common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error AccessManagerInvalidInitialAdmin(address initialAdmin)
func AccessManagerAccessManagerInvalidInitialAdminErrorID() common.Hash {
	return common.HexToHash("0x0813ada2dac5907da0ca4608377ae3cc33c414663de3392def346dcb2241566f")
}

// UnpackAccessManagerInvalidInitialAdminError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error AccessManagerInvalidInitialAdmin(address initialAdmin)
func (accessManager *AccessManager) UnpackAccessManagerInvalidInitialAdminError(raw []byte) (*AccessManagerAccessManagerInvalidInitialAdmin, error) {
	out := new(AccessManagerAccessManagerInvalidInitialAdmin)
	if err := accessManager.abi.UnpackIntoInterface(out, "AccessManagerInvalidInitialAdmin", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// AccessManagerAccessManagerLockedFunction represents a AccessManagerLockedFunction error raised by the AccessManager contract.
type AccessManagerAccessManagerLockedFunction struct {
	Selector [4]byte
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error AccessManagerLockedFunction(bytes4 selector)
func AccessManagerAccessManagerLockedFunctionErrorID() common.Hash {
	return common.HexToHash("0xf4744e4ae3b39914e868348682950509577280013a2d117ca879c01ba894c035")
}

// UnpackAccessManagerLockedFunctionError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error AccessManagerLockedFunction(bytes4 selector)
func (accessManager *AccessManager) UnpackAccessManagerLockedFunctionError(raw []byte) (*AccessManagerAccessManagerLockedFunction, error) {
	out := new(AccessManagerAccessManagerLockedFunction)
	if err := accessManager.abi.UnpackIntoInterface(out, "AccessManagerLockedFunction", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// AccessManagerAccessManagerLockedRole represents a AccessManagerLockedRole error raised by the AccessManager contract.
type AccessManagerAccessManagerLockedRole struct {
	RoleId uint64
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error AccessManagerLockedRole(uint64 roleId)
func AccessManagerAccessManagerLockedRoleErrorID() common.Hash {
	return common.HexToHash("0x1871a90c826f4d46dea9efe540d94eec60a6d0514c23f2746135a0475d14671d")
}

// UnpackAccessManagerLockedRoleError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error AccessManagerLockedRole(uint64 roleId)
func (accessManager *AccessManager) UnpackAccessManagerLockedRoleError(raw []byte) (*AccessManagerAccessManagerLockedRole, error) {
	out := new(AccessManagerAccessManagerLockedRole)
	if err := accessManager.abi.UnpackIntoInterface(out, "AccessManagerLockedRole", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// AccessManagerAccessManagerNotReady represents a AccessManagerNotReady error raised by the AccessManager contract.
type AccessManagerAccessManagerNotReady struct {
	OperationId [32]byte
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error AccessManagerNotReady(bytes32 operationId)
func AccessManagerAccessManagerNotReadyErrorID() common.Hash {
	return common.HexToHash("0x18cb6b7a3581f53edb610add14f2c612e552cf34cafe6206aaed7afe9f4f18e5")
}

// UnpackAccessManagerNotReadyError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error AccessManagerNotReady(bytes32 operationId)
func (accessManager *AccessManager) UnpackAccessManagerNotReadyError(raw []byte) (*AccessManagerAccessManagerNotReady, error) {
	out := new(AccessManagerAccessManagerNotReady)
	if err := accessManager.abi.UnpackIntoInterface(out, "AccessManagerNotReady", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// AccessManagerAccessManagerNotScheduled represents a AccessManagerNotScheduled error raised by the AccessManager contract.
type AccessManagerAccessManagerNotScheduled struct {
	OperationId [32]byte
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error AccessManagerNotScheduled(bytes32 operationId)
func AccessManagerAccessManagerNotScheduledErrorID() common.Hash {
	return common.HexToHash("0x60a299b0449ed9476d746f7f6a1b03b53b1a5285d3ebaa60cec39ee0c4f5cccd")
}

// UnpackAccessManagerNotScheduledError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error AccessManagerNotScheduled(bytes32 operationId)
func (accessManager *AccessManager) UnpackAccessManagerNotScheduledError(raw []byte) (*AccessManagerAccessManagerNotScheduled, error) {
	out := new(AccessManagerAccessManagerNotScheduled)
	if err := accessManager.abi.UnpackIntoInterface(out, "AccessManagerNotScheduled", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// AccessManagerAccessManagerUnauthorizedAccount represents a AccessManagerUnauthorizedAccount error raised by the AccessManager contract.
type AccessManagerAccessManagerUnauthorizedAccount struct {
	Msgsender common.Address
	RoleId    uint64
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error AccessManagerUnauthorizedAccount(address msgsender, uint64 roleId)
func AccessManagerAccessManagerUnauthorizedAccountErrorID() common.Hash {
	return common.HexToHash("0xf07e038f25f1d26a9f36b3f0d0d7f99c99ff897943a8e3ba86785c9e479df693")
}

// UnpackAccessManagerUnauthorizedAccountError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error AccessManagerUnauthorizedAccount(address msgsender, uint64 roleId)
func (accessManager *AccessManager) UnpackAccessManagerUnauthorizedAccountError(raw []byte) (*AccessManagerAccessManagerUnauthorizedAccount, error) {
	out := new(AccessManagerAccessManagerUnauthorizedAccount)
	if err := accessManager.abi.UnpackIntoInterface(out, "AccessManagerUnauthorizedAccount", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// AccessManagerAccessManagerUnauthorizedCall represents a AccessManagerUnauthorizedCall error raised by the AccessManager contract.
type AccessManagerAccessManagerUnauthorizedCall struct {
	Caller   common.Address
	Target   common.Address
	Selector [4]byte
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error AccessManagerUnauthorizedCall(address caller, address target, bytes4 selector)
func AccessManagerAccessManagerUnauthorizedCallErrorID() common.Hash {
	return common.HexToHash("0x81c6f24b0d2ecbbcba4609a067f29c09d1e5c0c07f268a3d2ae8dc537ea30f2a")
}

// UnpackAccessManagerUnauthorizedCallError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error AccessManagerUnauthorizedCall(address caller, address target, bytes4 selector)
func (accessManager *AccessManager) UnpackAccessManagerUnauthorizedCallError(raw []byte) (*AccessManagerAccessManagerUnauthorizedCall, error) {
	out := new(AccessManagerAccessManagerUnauthorizedCall)
	if err := accessManager.abi.UnpackIntoInterface(out, "AccessManagerUnauthorizedCall", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// AccessManagerAccessManagerUnauthorizedCancel represents a AccessManagerUnauthorizedCancel error raised by the AccessManager contract.
type AccessManagerAccessManagerUnauthorizedCancel struct {
	Msgsender common.Address
	Caller    common.Address
	Target    common.Address
	Selector  [4]byte
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error AccessManagerUnauthorizedCancel(address msgsender, address caller, address target, bytes4 selector)
func AccessManagerAccessManagerUnauthorizedCancelErrorID() common.Hash {
	return common.HexToHash("0x3fe2751c3db829c28295899aeb3fc14784aaed498aa4a4a42accc046883ffa62")
}

// UnpackAccessManagerUnauthorizedCancelError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error AccessManagerUnauthorizedCancel(address msgsender, address caller, address target, bytes4 selector)
func (accessManager *AccessManager) UnpackAccessManagerUnauthorizedCancelError(raw []byte) (*AccessManagerAccessManagerUnauthorizedCancel, error) {
	out := new(AccessManagerAccessManagerUnauthorizedCancel)
	if err := accessManager.abi.UnpackIntoInterface(out, "AccessManagerUnauthorizedCancel", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// AccessManagerAccessManagerUnauthorizedConsume represents a AccessManagerUnauthorizedConsume error raised by the AccessManager contract.
type AccessManagerAccessManagerUnauthorizedConsume struct {
	Target common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error AccessManagerUnauthorizedConsume(address target)
func AccessManagerAccessManagerUnauthorizedConsumeErrorID() common.Hash {
	return common.HexToHash("0x320ff7489be961cad7668c9ff49d284dd1606170a29c683487f631092d07e028")
}

// UnpackAccessManagerUnauthorizedConsumeError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error AccessManagerUnauthorizedConsume(address target)
func (accessManager *AccessManager) UnpackAccessManagerUnauthorizedConsumeError(raw []byte) (*AccessManagerAccessManagerUnauthorizedConsume, error) {
	out := new(AccessManagerAccessManagerUnauthorizedConsume)
	if err := accessManager.abi.UnpackIntoInterface(out, "AccessManagerUnauthorizedConsume", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// AccessManagerAddressEmptyCode represents a AddressEmptyCode error raised by the AccessManager contract.
type AccessManagerAddressEmptyCode struct {
	Target common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error AddressEmptyCode(address target)
func AccessManagerAddressEmptyCodeErrorID() common.Hash {
	return common.HexToHash("0x9996b315c842ff135b8fc4a08ad5df1c344efbc03d2687aecc0678050d2aac89")
}

// UnpackAddressEmptyCodeError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error AddressEmptyCode(address target)
func (accessManager *AccessManager) UnpackAddressEmptyCodeError(raw []byte) (*AccessManagerAddressEmptyCode, error) {
	out := new(AccessManagerAddressEmptyCode)
	if err := accessManager.abi.UnpackIntoInterface(out, "AddressEmptyCode", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// AccessManagerFailedCall represents a FailedCall error raised by the AccessManager contract.
type AccessManagerFailedCall struct {
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error FailedCall()
func AccessManagerFailedCallErrorID() common.Hash {
	return common.HexToHash("0xd6bda27508c0fb6d8a39b4b122878dab26f731a7d4e4abe711dd3731899052a4")
}

// UnpackFailedCallError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error FailedCall()
func (accessManager *AccessManager) UnpackFailedCallError(raw []byte) (*AccessManagerFailedCall, error) {
	out := new(AccessManagerFailedCall)
	if err := accessManager.abi.UnpackIntoInterface(out, "FailedCall", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// AccessManagerInsufficientBalance represents a InsufficientBalance error raised by the AccessManager contract.
type AccessManagerInsufficientBalance struct {
	Balance *big.Int
	Needed  *big.Int
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error InsufficientBalance(uint256 balance, uint256 needed)
func AccessManagerInsufficientBalanceErrorID() common.Hash {
	return common.HexToHash("0xcf4791818fba6e019216eb4864093b4947f674afada5d305e57d598b641dad1d")
}

// UnpackInsufficientBalanceError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error InsufficientBalance(uint256 balance, uint256 needed)
func (accessManager *AccessManager) UnpackInsufficientBalanceError(raw []byte) (*AccessManagerInsufficientBalance, error) {
	out := new(AccessManagerInsufficientBalance)
	if err := accessManager.abi.UnpackIntoInterface(out, "InsufficientBalance", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// AccessManagerSafeCastOverflowedUintDowncast represents a SafeCastOverflowedUintDowncast error raised by the AccessManager contract.
type AccessManagerSafeCastOverflowedUintDowncast struct {
	Bits  uint8
	Value *big.Int
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error SafeCastOverflowedUintDowncast(uint8 bits, uint256 value)
func AccessManagerSafeCastOverflowedUintDowncastErrorID() common.Hash {
	return common.HexToHash("0x6dfcc6503a32754ce7a89698e18201fc5294fd4aad43edefee786f88423b1a12")
}

// UnpackSafeCastOverflowedUintDowncastError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error SafeCastOverflowedUintDowncast(uint8 bits, uint256 value)
func (accessManager *AccessManager) UnpackSafeCastOverflowedUintDowncastError(raw []byte) (*AccessManagerSafeCastOverflowedUintDowncast, error) {
	out := new(AccessManagerSafeCastOverflowedUintDowncast)
	if err := accessManager.abi.UnpackIntoInterface(out, "SafeCastOverflowedUintDowncast", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// BondsMetaData contains all meta data concerning the Bonds contract.
var BondsMetaData = bind.MetaData{
	ABI: "[{\"inputs\":[{\"internalType\":\"contractIERC20\",\"name\":\"hudl\",\"type\":\"address\"},{\"internalType\":\"address\",\"name\":\"reserve\",\"type\":\"address\"},{\"internalType\":\"address\",\"name\":\"proofOfResource\",\"type\":\"address\"},{\"internalType\":\"address\",\"name\":\"dataCredits\",\"type\":\"address\"}],\"stateMutability\":\"nonpayable\",\"type\":\"constructor\"},{\"inputs\":[],\"name\":\"UPGRADE_INTERFACE_VERSION\",\"outputs\":[{\"internalType\":\"string\",\"name\":\"\",\"type\":\"string\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"enumKind\",\"name\":\"kind\",\"type\":\"uint8\"},{\"internalType\":\"uint256\",\"name\":\"start\",\"type\":\"uint256\"},{\"internalType\":\"uint256\",\"name\":\"most\",\"type\":\"uint256\"}],\"name\":\"active\",\"outputs\":[{\"internalType\":\"address[]\",\"name\":\"\",\"type\":\"address[]\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"enumKind\",\"name\":\"kind\",\"type\":\"uint8\"}],\"name\":\"activeCount\",\"outputs\":[{\"internalType\":\"uint256\",\"name\":\"\",\"type\":\"uint256\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"identity\",\"type\":\"address\"}],\"name\":\"admitReporter\",\"outputs\":[],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[],\"name\":\"authority\",\"outputs\":[{\"internalType\":\"address\",\"name\":\"\",\"type\":\"address\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"enumKind\",\"name\":\"kind\",\"type\":\"uint8\"},{\"internalType\":\"address\",\"name\":\"identity\",\"type\":\"address\"},{\"internalType\":\"uint96\",\"name\":\"amount\",\"type\":\"uint96\"},{\"internalType\":\"uint256\",\"name\":\"deadline\",\"type\":\"uint256\"},{\"internalType\":\"bytes\",\"name\":\"consent\",\"type\":\"bytes\"}],\"name\":\"bond\",\"outputs\":[],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"enumKind\",\"name\":\"kind\",\"type\":\"uint8\"},{\"internalType\":\"address\",\"name\":\"identity\",\"type\":\"address\"}],\"name\":\"bondOf\",\"outputs\":[{\"components\":[{\"internalType\":\"address\",\"name\":\"owner\",\"type\":\"address\"},{\"internalType\":\"uint96\",\"name\":\"amount\",\"type\":\"uint96\"},{\"internalType\":\"uint64\",\"name\":\"readyAt\",\"type\":\"uint64\"},{\"internalType\":\"uint64\",\"name\":\"generation\",\"type\":\"uint64\"}],\"internalType\":\"structIBonds.Bond\",\"name\":\"\",\"type\":\"tuple\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"enumKind\",\"name\":\"kind\",\"type\":\"uint8\"},{\"internalType\":\"address\",\"name\":\"identity\",\"type\":\"address\"},{\"internalType\":\"address\",\"name\":\"owner\",\"type\":\"address\"},{\"internalType\":\"uint256\",\"name\":\"deadline\",\"type\":\"uint256\"}],\"name\":\"consentDigest\",\"outputs\":[{\"internalType\":\"bytes32\",\"name\":\"\",\"type\":\"bytes32\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"components\":[{\"internalType\":\"uint64\",\"name\":\"epoch\",\"type\":\"uint64\"},{\"internalType\":\"bytes32\",\"name\":\"root\",\"type\":\"bytes32\"},{\"internalType\":\"uint32\",\"name\":\"leafCount\",\"type\":\"uint32\"},{\"internalType\":\"uint256\",\"name\":\"totalBytes\",\"type\":\"uint256\"},{\"internalType\":\"uint256\",\"name\":\"rewardTotal\",\"type\":\"uint256\"},{\"internalType\":\"uint256\",\"name\":\"mintTotal\",\"type\":\"uint256\"},{\"internalType\":\"bytes32\",\"name\":\"chargesHash\",\"type\":\"bytes32\"},{\"internalType\":\"uint32\",\"name\":\"chargeCount\",\"type\":\"uint32\"},{\"internalType\":\"bytes32\",\"name\":\"dataHash\",\"type\":\"bytes32\"},{\"internalType\":\"bytes32\",\"name\":\"previousRoot\",\"type\":\"bytes32\"},{\"internalType\":\"uint32\",\"name\":\"parametersVersion\",\"type\":\"uint32\"},{\"internalType\":\"uint256\",\"name\":\"rMax\",\"type\":\"uint256\"}],\"internalType\":\"structEpochCommit\",\"name\":\"first\",\"type\":\"tuple\"},{\"internalType\":\"bytes\",\"name\":\"firstSignature\",\"type\":\"bytes\"},{\"components\":[{\"internalType\":\"uint64\",\"name\":\"epoch\",\"type\":\"uint64\"},{\"internalType\":\"bytes32\",\"name\":\"root\",\"type\":\"bytes32\"},{\"internalType\":\"uint32\",\"name\":\"leafCount\",\"type\":\"uint32\"},{\"internalType\":\"uint256\",\"name\":\"totalBytes\",\"type\":\"uint256\"},{\"internalType\":\"uint256\",\"name\":\"rewardTotal\",\"type\":\"uint256\"},{\"internalType\":\"uint256\",\"name\":\"mintTotal\",\"type\":\"uint256\"},{\"internalType\":\"bytes32\",\"name\":\"chargesHash\",\"type\":\"bytes32\"},{\"internalType\":\"uint32\",\"name\":\"chargeCount\",\"type\":\"uint32\"},{\"internalType\":\"bytes32\",\"name\":\"dataHash\",\"type\":\"bytes32\"},{\"internalType\":\"bytes32\",\"name\":\"previousRoot\",\"type\":\"bytes32\"},{\"internalType\":\"uint32\",\"name\":\"parametersVersion\",\"type\":\"uint32\"},{\"internalType\":\"uint256\",\"name\":\"rMax\",\"type\":\"uint256\"}],\"internalType\":\"structEpochCommit\",\"name\":\"second\",\"type\":\"tuple\"},{\"internalType\":\"bytes\",\"name\":\"secondSignature\",\"type\":\"bytes\"}],\"name\":\"forfeitForCommits\",\"outputs\":[{\"internalType\":\"address\",\"name\":\"identity\",\"type\":\"address\"},{\"internalType\":\"uint256\",\"name\":\"amount\",\"type\":\"uint256\"}],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"components\":[{\"internalType\":\"address\",\"name\":\"application\",\"type\":\"address\"},{\"internalType\":\"address\",\"name\":\"orchestrator\",\"type\":\"address\"},{\"internalType\":\"address\",\"name\":\"node\",\"type\":\"address\"},{\"internalType\":\"uint64\",\"name\":\"epoch\",\"type\":\"uint64\"},{\"internalType\":\"uint64\",\"name\":\"sequence\",\"type\":\"uint64\"},{\"internalType\":\"uint128\",\"name\":\"clientBytes\",\"type\":\"uint128\"},{\"internalType\":\"uint128\",\"name\":\"relayBytes\",\"type\":\"uint128\"}],\"internalType\":\"structReceipt\",\"name\":\"first\",\"type\":\"tuple\"},{\"internalType\":\"bytes\",\"name\":\"firstSignature\",\"type\":\"bytes\"},{\"components\":[{\"internalType\":\"address\",\"name\":\"application\",\"type\":\"address\"},{\"internalType\":\"address\",\"name\":\"orchestrator\",\"type\":\"address\"},{\"internalType\":\"address\",\"name\":\"node\",\"type\":\"address\"},{\"internalType\":\"uint64\",\"name\":\"epoch\",\"type\":\"uint64\"},{\"internalType\":\"uint64\",\"name\":\"sequence\",\"type\":\"uint64\"},{\"internalType\":\"uint128\",\"name\":\"clientBytes\",\"type\":\"uint128\"},{\"internalType\":\"uint128\",\"name\":\"relayBytes\",\"type\":\"uint128\"}],\"internalType\":\"structReceipt\",\"name\":\"second\",\"type\":\"tuple\"},{\"internalType\":\"bytes\",\"name\":\"secondSignature\",\"type\":\"bytes\"}],\"name\":\"forfeitForReceipts\",\"outputs\":[{\"internalType\":\"address\",\"name\":\"identity\",\"type\":\"address\"},{\"internalType\":\"uint256\",\"name\":\"amount\",\"type\":\"uint256\"}],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"authority\",\"type\":\"address\"},{\"components\":[{\"internalType\":\"uint96\",\"name\":\"minimum\",\"type\":\"uint96\"},{\"internalType\":\"uint32\",\"name\":\"unbonding\",\"type\":\"uint32\"}],\"internalType\":\"structBonds.Terms[3]\",\"name\":\"first\",\"type\":\"tuple[3]\"}],\"name\":\"initialize\",\"outputs\":[],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"enumKind\",\"name\":\"kind\",\"type\":\"uint8\"},{\"internalType\":\"address\",\"name\":\"identity\",\"type\":\"address\"}],\"name\":\"isActive\",\"outputs\":[{\"internalType\":\"bool\",\"name\":\"\",\"type\":\"bool\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[],\"name\":\"isConsumingScheduledOp\",\"outputs\":[{\"internalType\":\"bytes4\",\"name\":\"\",\"type\":\"bytes4\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"identity\",\"type\":\"address\"}],\"name\":\"isReporter\",\"outputs\":[{\"internalType\":\"bool\",\"name\":\"\",\"type\":\"bool\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"enumKind\",\"name\":\"kind\",\"type\":\"uint8\"},{\"internalType\":\"address\",\"name\":\"identity\",\"type\":\"address\"}],\"name\":\"minGeneration\",\"outputs\":[{\"internalType\":\"uint64\",\"name\":\"\",\"type\":\"uint64\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[],\"name\":\"pause\",\"outputs\":[],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[],\"name\":\"paused\",\"outputs\":[{\"internalType\":\"bool\",\"name\":\"\",\"type\":\"bool\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[],\"name\":\"proxiableUUID\",\"outputs\":[{\"internalType\":\"bytes32\",\"name\":\"\",\"type\":\"bytes32\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"enumKind\",\"name\":\"kind\",\"type\":\"uint8\"},{\"internalType\":\"address\",\"name\":\"identity\",\"type\":\"address\"},{\"internalType\":\"uint64\",\"name\":\"generation\",\"type\":\"uint64\"}],\"name\":\"raiseGeneration\",\"outputs\":[],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"identity\",\"type\":\"address\"}],\"name\":\"removeReporter\",\"outputs\":[],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[],\"name\":\"reporterCount\",\"outputs\":[{\"internalType\":\"uint256\",\"name\":\"\",\"type\":\"uint256\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[],\"name\":\"reporters\",\"outputs\":[{\"internalType\":\"address[]\",\"name\":\"\",\"type\":\"address[]\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"newAuthority\",\"type\":\"address\"}],\"name\":\"setAuthority\",\"outputs\":[],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"enumKind\",\"name\":\"kind\",\"type\":\"uint8\"},{\"internalType\":\"uint96\",\"name\":\"minimum\",\"type\":\"uint96\"},{\"internalType\":\"uint32\",\"name\":\"unbonding\",\"type\":\"uint32\"}],\"name\":\"setTerms\",\"outputs\":[],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"enumKind\",\"name\":\"kind\",\"type\":\"uint8\"},{\"internalType\":\"address\",\"name\":\"identity\",\"type\":\"address\"}],\"name\":\"startUnbonding\",\"outputs\":[],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"enumKind\",\"name\":\"kind\",\"type\":\"uint8\"}],\"name\":\"terms\",\"outputs\":[{\"internalType\":\"uint96\",\"name\":\"minimum\",\"type\":\"uint96\"},{\"internalType\":\"uint32\",\"name\":\"unbonding\",\"type\":\"uint32\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[],\"name\":\"unpause\",\"outputs\":[],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"newImplementation\",\"type\":\"address\"},{\"internalType\":\"bytes\",\"name\":\"data\",\"type\":\"bytes\"}],\"name\":\"upgradeToAndCall\",\"outputs\":[],\"stateMutability\":\"payable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"enumKind\",\"name\":\"kind\",\"type\":\"uint8\"},{\"internalType\":\"address\",\"name\":\"identity\",\"type\":\"address\"}],\"name\":\"withdraw\",\"outputs\":[],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":false,\"internalType\":\"address\",\"name\":\"authority\",\"type\":\"address\"}],\"name\":\"AuthorityUpdated\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":true,\"internalType\":\"enumKind\",\"name\":\"kind\",\"type\":\"uint8\"},{\"indexed\":true,\"internalType\":\"address\",\"name\":\"identity\",\"type\":\"address\"},{\"indexed\":false,\"internalType\":\"uint256\",\"name\":\"amount\",\"type\":\"uint256\"}],\"name\":\"BondWithdrawn\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":true,\"internalType\":\"enumKind\",\"name\":\"kind\",\"type\":\"uint8\"},{\"indexed\":true,\"internalType\":\"address\",\"name\":\"identity\",\"type\":\"address\"},{\"indexed\":true,\"internalType\":\"address\",\"name\":\"owner\",\"type\":\"address\"},{\"indexed\":false,\"internalType\":\"uint256\",\"name\":\"amount\",\"type\":\"uint256\"}],\"name\":\"Bonded\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":true,\"internalType\":\"enumKind\",\"name\":\"kind\",\"type\":\"uint8\"},{\"indexed\":true,\"internalType\":\"address\",\"name\":\"identity\",\"type\":\"address\"},{\"indexed\":false,\"internalType\":\"uint256\",\"name\":\"amount\",\"type\":\"uint256\"},{\"indexed\":false,\"internalType\":\"bytes32\",\"name\":\"first\",\"type\":\"bytes32\"},{\"indexed\":false,\"internalType\":\"bytes32\",\"name\":\"second\",\"type\":\"bytes32\"}],\"name\":\"Forfeited\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":true,\"internalType\":\"enumKind\",\"name\":\"kind\",\"type\":\"uint8\"},{\"indexed\":true,\"internalType\":\"address\",\"name\":\"identity\",\"type\":\"address\"},{\"indexed\":false,\"internalType\":\"uint64\",\"name\":\"generation\",\"type\":\"uint64\"}],\"name\":\"GenerationRaised\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":false,\"internalType\":\"uint64\",\"name\":\"version\",\"type\":\"uint64\"}],\"name\":\"Initialized\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":false,\"internalType\":\"address\",\"name\":\"account\",\"type\":\"address\"}],\"name\":\"Paused\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":true,\"internalType\":\"address\",\"name\":\"identity\",\"type\":\"address\"}],\"name\":\"ReporterAdmitted\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":true,\"internalType\":\"address\",\"name\":\"identity\",\"type\":\"address\"}],\"name\":\"ReporterRemoved\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":true,\"internalType\":\"enumKind\",\"name\":\"kind\",\"type\":\"uint8\"},{\"indexed\":false,\"internalType\":\"uint96\",\"name\":\"minimum\",\"type\":\"uint96\"},{\"indexed\":false,\"internalType\":\"uint32\",\"name\":\"unbonding\",\"type\":\"uint32\"}],\"name\":\"TermsSet\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":true,\"internalType\":\"enumKind\",\"name\":\"kind\",\"type\":\"uint8\"},{\"indexed\":true,\"internalType\":\"address\",\"name\":\"identity\",\"type\":\"address\"},{\"indexed\":false,\"internalType\":\"uint64\",\"name\":\"readyAt\",\"type\":\"uint64\"}],\"name\":\"UnbondingStarted\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":false,\"internalType\":\"address\",\"name\":\"account\",\"type\":\"address\"}],\"name\":\"Unpaused\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":true,\"internalType\":\"address\",\"name\":\"implementation\",\"type\":\"address\"}],\"name\":\"Upgraded\",\"type\":\"event\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"authority\",\"type\":\"address\"}],\"name\":\"AccessManagedInvalidAuthority\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"caller\",\"type\":\"address\"},{\"internalType\":\"uint32\",\"name\":\"delay\",\"type\":\"uint32\"}],\"name\":\"AccessManagedRequiredDelay\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"caller\",\"type\":\"address\"}],\"name\":\"AccessManagedUnauthorized\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"target\",\"type\":\"address\"}],\"name\":\"AddressEmptyCode\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"identity\",\"type\":\"address\"}],\"name\":\"Bonds_AlreadyReporter\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"uint256\",\"name\":\"deadline\",\"type\":\"uint256\"},{\"internalType\":\"uint256\",\"name\":\"now_\",\"type\":\"uint256\"}],\"name\":\"Bonds_ConsentExpired\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"uint64\",\"name\":\"got\",\"type\":\"uint64\"},{\"internalType\":\"uint64\",\"name\":\"current\",\"type\":\"uint64\"}],\"name\":\"Bonds_GenerationNotHigher\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"bytes32\",\"name\":\"first\",\"type\":\"bytes32\"},{\"internalType\":\"bytes32\",\"name\":\"second\",\"type\":\"bytes32\"}],\"name\":\"Bonds_NoContradiction\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"enumKind\",\"name\":\"kind\",\"type\":\"uint8\"},{\"internalType\":\"address\",\"name\":\"identity\",\"type\":\"address\"}],\"name\":\"Bonds_NotBonded\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"identity\",\"type\":\"address\"},{\"internalType\":\"address\",\"name\":\"signer\",\"type\":\"address\"}],\"name\":\"Bonds_NotIdentitysConsent\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"enumKind\",\"name\":\"kind\",\"type\":\"uint8\"},{\"internalType\":\"address\",\"name\":\"identity\",\"type\":\"address\"},{\"internalType\":\"address\",\"name\":\"caller\",\"type\":\"address\"},{\"internalType\":\"address\",\"name\":\"owner\",\"type\":\"address\"}],\"name\":\"Bonds_NotOwner\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"identity\",\"type\":\"address\"}],\"name\":\"Bonds_NotReporter\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"enumKind\",\"name\":\"kind\",\"type\":\"uint8\"},{\"internalType\":\"address\",\"name\":\"identity\",\"type\":\"address\"}],\"name\":\"Bonds_NotUnbonding\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"first\",\"type\":\"address\"},{\"internalType\":\"address\",\"name\":\"second\",\"type\":\"address\"}],\"name\":\"Bonds_SignersDiffer\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"uint64\",\"name\":\"now_\",\"type\":\"uint64\"},{\"internalType\":\"uint64\",\"name\":\"readyAt\",\"type\":\"uint64\"}],\"name\":\"Bonds_StillLocked\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"uint256\",\"name\":\"most\",\"type\":\"uint256\"}],\"name\":\"Bonds_TooManyReporters\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"enumKind\",\"name\":\"kind\",\"type\":\"uint8\"},{\"internalType\":\"uint256\",\"name\":\"amount\",\"type\":\"uint256\"},{\"internalType\":\"uint256\",\"name\":\"minimum\",\"type\":\"uint256\"}],\"name\":\"Bonds_TooSmall\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"enumKind\",\"name\":\"kind\",\"type\":\"uint8\"},{\"internalType\":\"address\",\"name\":\"identity\",\"type\":\"address\"},{\"internalType\":\"uint64\",\"name\":\"readyAt\",\"type\":\"uint64\"}],\"name\":\"Bonds_Unbonding\",\"type\":\"error\"},{\"inputs\":[],\"name\":\"ECDSAInvalidSignature\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"uint256\",\"name\":\"length\",\"type\":\"uint256\"}],\"name\":\"ECDSAInvalidSignatureLength\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"bytes32\",\"name\":\"s\",\"type\":\"bytes32\"}],\"name\":\"ECDSAInvalidSignatureS\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"implementation\",\"type\":\"address\"}],\"name\":\"ERC1967InvalidImplementation\",\"type\":\"error\"},{\"inputs\":[],\"name\":\"ERC1967NonPayable\",\"type\":\"error\"},{\"inputs\":[],\"name\":\"EnforcedPause\",\"type\":\"error\"},{\"inputs\":[],\"name\":\"ExpectedPause\",\"type\":\"error\"},{\"inputs\":[],\"name\":\"FailedCall\",\"type\":\"error\"},{\"inputs\":[],\"name\":\"InvalidInitialization\",\"type\":\"error\"},{\"inputs\":[],\"name\":\"NotInitializing\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"token\",\"type\":\"address\"}],\"name\":\"SafeERC20FailedOperation\",\"type\":\"error\"},{\"inputs\":[],\"name\":\"UUPSUnauthorizedCallContext\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"bytes32\",\"name\":\"slot\",\"type\":\"bytes32\"}],\"name\":\"UUPSUnsupportedProxiableUUID\",\"type\":\"error\"}]",
	ID:  "7f229cae8cc4baa4acb4a395e35f49f306",
}

// Bonds is an auto generated Go binding around an Ethereum contract.
type Bonds struct {
	abi abi.ABI
}

// GetABI returns the ABI associated with this contract binding.
func (c *Bonds) GetABI() abi.ABI {
	return c.abi
}

// NewBonds creates a new instance of Bonds.
func NewBonds() *Bonds {
	parsed, err := BondsMetaData.ParseABI()
	if err != nil {
		panic(errors.New("invalid ABI: " + err.Error()))
	}
	return &Bonds{abi: *parsed}
}

// Instance creates a wrapper for a deployed contract instance at the given address.
// Use this to create the instance object passed to abigen v2 library functions Call, Transact, etc.
func (c *Bonds) Instance(backend bind.ContractBackend, addr common.Address) *bind.BoundContract {
	return bind.NewBoundContract(addr, c.abi, backend, backend, backend)
}

// PackConstructor is the Go binding used to pack the parameters required for
// contract deployment.
//
// Solidity: constructor(address hudl, address reserve, address proofOfResource, address dataCredits) returns()
func (bonds *Bonds) PackConstructor(hudl common.Address, reserve common.Address, proofOfResource common.Address, dataCredits common.Address) []byte {
	enc, err := bonds.abi.Pack("", hudl, reserve, proofOfResource, dataCredits)
	if err != nil {
		panic(err)
	}
	return enc
}

// PackUPGRADEINTERFACEVERSION is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xad3cb1cc.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function UPGRADE_INTERFACE_VERSION() view returns(string)
func (bonds *Bonds) PackUPGRADEINTERFACEVERSION() []byte {
	enc, err := bonds.abi.Pack("UPGRADE_INTERFACE_VERSION")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackUPGRADEINTERFACEVERSION is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xad3cb1cc.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function UPGRADE_INTERFACE_VERSION() view returns(string)
func (bonds *Bonds) TryPackUPGRADEINTERFACEVERSION() ([]byte, error) {
	return bonds.abi.Pack("UPGRADE_INTERFACE_VERSION")
}

// UnpackUPGRADEINTERFACEVERSION is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xad3cb1cc.
//
// Solidity: function UPGRADE_INTERFACE_VERSION() view returns(string)
func (bonds *Bonds) UnpackUPGRADEINTERFACEVERSION(data []byte) (string, error) {
	out, err := bonds.abi.Unpack("UPGRADE_INTERFACE_VERSION", data)
	if err != nil {
		return *new(string), err
	}
	out0 := *abi.ConvertType(out[0], new(string)).(*string)
	return out0, nil
}

// PackActive is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xfe551126.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function active(uint8 kind, uint256 start, uint256 most) view returns(address[])
func (bonds *Bonds) PackActive(kind uint8, start *big.Int, most *big.Int) []byte {
	enc, err := bonds.abi.Pack("active", kind, start, most)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackActive is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xfe551126.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function active(uint8 kind, uint256 start, uint256 most) view returns(address[])
func (bonds *Bonds) TryPackActive(kind uint8, start *big.Int, most *big.Int) ([]byte, error) {
	return bonds.abi.Pack("active", kind, start, most)
}

// UnpackActive is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xfe551126.
//
// Solidity: function active(uint8 kind, uint256 start, uint256 most) view returns(address[])
func (bonds *Bonds) UnpackActive(data []byte) ([]common.Address, error) {
	out, err := bonds.abi.Unpack("active", data)
	if err != nil {
		return *new([]common.Address), err
	}
	out0 := *abi.ConvertType(out[0], new([]common.Address)).(*[]common.Address)
	return out0, nil
}

// PackActiveCount is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xd4134e1e.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function activeCount(uint8 kind) view returns(uint256)
func (bonds *Bonds) PackActiveCount(kind uint8) []byte {
	enc, err := bonds.abi.Pack("activeCount", kind)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackActiveCount is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xd4134e1e.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function activeCount(uint8 kind) view returns(uint256)
func (bonds *Bonds) TryPackActiveCount(kind uint8) ([]byte, error) {
	return bonds.abi.Pack("activeCount", kind)
}

// UnpackActiveCount is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xd4134e1e.
//
// Solidity: function activeCount(uint8 kind) view returns(uint256)
func (bonds *Bonds) UnpackActiveCount(data []byte) (*big.Int, error) {
	out, err := bonds.abi.Unpack("activeCount", data)
	if err != nil {
		return new(big.Int), err
	}
	out0 := abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	return out0, nil
}

// PackAdmitReporter is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x355ef714.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function admitReporter(address identity) returns()
func (bonds *Bonds) PackAdmitReporter(identity common.Address) []byte {
	enc, err := bonds.abi.Pack("admitReporter", identity)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackAdmitReporter is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x355ef714.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function admitReporter(address identity) returns()
func (bonds *Bonds) TryPackAdmitReporter(identity common.Address) ([]byte, error) {
	return bonds.abi.Pack("admitReporter", identity)
}

// PackAuthority is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xbf7e214f.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function authority() view returns(address)
func (bonds *Bonds) PackAuthority() []byte {
	enc, err := bonds.abi.Pack("authority")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackAuthority is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xbf7e214f.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function authority() view returns(address)
func (bonds *Bonds) TryPackAuthority() ([]byte, error) {
	return bonds.abi.Pack("authority")
}

// UnpackAuthority is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xbf7e214f.
//
// Solidity: function authority() view returns(address)
func (bonds *Bonds) UnpackAuthority(data []byte) (common.Address, error) {
	out, err := bonds.abi.Unpack("authority", data)
	if err != nil {
		return *new(common.Address), err
	}
	out0 := *abi.ConvertType(out[0], new(common.Address)).(*common.Address)
	return out0, nil
}

// PackBond is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x1d52812a.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function bond(uint8 kind, address identity, uint96 amount, uint256 deadline, bytes consent) returns()
func (bonds *Bonds) PackBond(kind uint8, identity common.Address, amount *big.Int, deadline *big.Int, consent []byte) []byte {
	enc, err := bonds.abi.Pack("bond", kind, identity, amount, deadline, consent)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackBond is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x1d52812a.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function bond(uint8 kind, address identity, uint96 amount, uint256 deadline, bytes consent) returns()
func (bonds *Bonds) TryPackBond(kind uint8, identity common.Address, amount *big.Int, deadline *big.Int, consent []byte) ([]byte, error) {
	return bonds.abi.Pack("bond", kind, identity, amount, deadline, consent)
}

// PackBondOf is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xf859a45a.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function bondOf(uint8 kind, address identity) view returns((address,uint96,uint64,uint64))
func (bonds *Bonds) PackBondOf(kind uint8, identity common.Address) []byte {
	enc, err := bonds.abi.Pack("bondOf", kind, identity)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackBondOf is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xf859a45a.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function bondOf(uint8 kind, address identity) view returns((address,uint96,uint64,uint64))
func (bonds *Bonds) TryPackBondOf(kind uint8, identity common.Address) ([]byte, error) {
	return bonds.abi.Pack("bondOf", kind, identity)
}

// UnpackBondOf is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xf859a45a.
//
// Solidity: function bondOf(uint8 kind, address identity) view returns((address,uint96,uint64,uint64))
func (bonds *Bonds) UnpackBondOf(data []byte) (IBondsBond, error) {
	out, err := bonds.abi.Unpack("bondOf", data)
	if err != nil {
		return *new(IBondsBond), err
	}
	out0 := *abi.ConvertType(out[0], new(IBondsBond)).(*IBondsBond)
	return out0, nil
}

// PackConsentDigest is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x2bb3de86.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function consentDigest(uint8 kind, address identity, address owner, uint256 deadline) view returns(bytes32)
func (bonds *Bonds) PackConsentDigest(kind uint8, identity common.Address, owner common.Address, deadline *big.Int) []byte {
	enc, err := bonds.abi.Pack("consentDigest", kind, identity, owner, deadline)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackConsentDigest is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x2bb3de86.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function consentDigest(uint8 kind, address identity, address owner, uint256 deadline) view returns(bytes32)
func (bonds *Bonds) TryPackConsentDigest(kind uint8, identity common.Address, owner common.Address, deadline *big.Int) ([]byte, error) {
	return bonds.abi.Pack("consentDigest", kind, identity, owner, deadline)
}

// UnpackConsentDigest is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x2bb3de86.
//
// Solidity: function consentDigest(uint8 kind, address identity, address owner, uint256 deadline) view returns(bytes32)
func (bonds *Bonds) UnpackConsentDigest(data []byte) ([32]byte, error) {
	out, err := bonds.abi.Unpack("consentDigest", data)
	if err != nil {
		return *new([32]byte), err
	}
	out0 := *abi.ConvertType(out[0], new([32]byte)).(*[32]byte)
	return out0, nil
}

// PackForfeitForCommits is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x3d8ddff6.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function forfeitForCommits((uint64,bytes32,uint32,uint256,uint256,uint256,bytes32,uint32,bytes32,bytes32,uint32,uint256) first, bytes firstSignature, (uint64,bytes32,uint32,uint256,uint256,uint256,bytes32,uint32,bytes32,bytes32,uint32,uint256) second, bytes secondSignature) returns(address identity, uint256 amount)
func (bonds *Bonds) PackForfeitForCommits(first EpochCommit, firstSignature []byte, second EpochCommit, secondSignature []byte) []byte {
	enc, err := bonds.abi.Pack("forfeitForCommits", first, firstSignature, second, secondSignature)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackForfeitForCommits is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x3d8ddff6.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function forfeitForCommits((uint64,bytes32,uint32,uint256,uint256,uint256,bytes32,uint32,bytes32,bytes32,uint32,uint256) first, bytes firstSignature, (uint64,bytes32,uint32,uint256,uint256,uint256,bytes32,uint32,bytes32,bytes32,uint32,uint256) second, bytes secondSignature) returns(address identity, uint256 amount)
func (bonds *Bonds) TryPackForfeitForCommits(first EpochCommit, firstSignature []byte, second EpochCommit, secondSignature []byte) ([]byte, error) {
	return bonds.abi.Pack("forfeitForCommits", first, firstSignature, second, secondSignature)
}

// BondsForfeitForCommitsOutput serves as a container for the return parameters of contract
// method ForfeitForCommits.
type BondsForfeitForCommitsOutput struct {
	Identity common.Address
	Amount   *big.Int
}

// UnpackForfeitForCommits is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x3d8ddff6.
//
// Solidity: function forfeitForCommits((uint64,bytes32,uint32,uint256,uint256,uint256,bytes32,uint32,bytes32,bytes32,uint32,uint256) first, bytes firstSignature, (uint64,bytes32,uint32,uint256,uint256,uint256,bytes32,uint32,bytes32,bytes32,uint32,uint256) second, bytes secondSignature) returns(address identity, uint256 amount)
func (bonds *Bonds) UnpackForfeitForCommits(data []byte) (BondsForfeitForCommitsOutput, error) {
	out, err := bonds.abi.Unpack("forfeitForCommits", data)
	outstruct := new(BondsForfeitForCommitsOutput)
	if err != nil {
		return *outstruct, err
	}
	outstruct.Identity = *abi.ConvertType(out[0], new(common.Address)).(*common.Address)
	outstruct.Amount = abi.ConvertType(out[1], new(big.Int)).(*big.Int)
	return *outstruct, nil
}

// PackForfeitForReceipts is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x80ae45f4.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function forfeitForReceipts((address,address,address,uint64,uint64,uint128,uint128) first, bytes firstSignature, (address,address,address,uint64,uint64,uint128,uint128) second, bytes secondSignature) returns(address identity, uint256 amount)
func (bonds *Bonds) PackForfeitForReceipts(first Receipt, firstSignature []byte, second Receipt, secondSignature []byte) []byte {
	enc, err := bonds.abi.Pack("forfeitForReceipts", first, firstSignature, second, secondSignature)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackForfeitForReceipts is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x80ae45f4.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function forfeitForReceipts((address,address,address,uint64,uint64,uint128,uint128) first, bytes firstSignature, (address,address,address,uint64,uint64,uint128,uint128) second, bytes secondSignature) returns(address identity, uint256 amount)
func (bonds *Bonds) TryPackForfeitForReceipts(first Receipt, firstSignature []byte, second Receipt, secondSignature []byte) ([]byte, error) {
	return bonds.abi.Pack("forfeitForReceipts", first, firstSignature, second, secondSignature)
}

// BondsForfeitForReceiptsOutput serves as a container for the return parameters of contract
// method ForfeitForReceipts.
type BondsForfeitForReceiptsOutput struct {
	Identity common.Address
	Amount   *big.Int
}

// UnpackForfeitForReceipts is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x80ae45f4.
//
// Solidity: function forfeitForReceipts((address,address,address,uint64,uint64,uint128,uint128) first, bytes firstSignature, (address,address,address,uint64,uint64,uint128,uint128) second, bytes secondSignature) returns(address identity, uint256 amount)
func (bonds *Bonds) UnpackForfeitForReceipts(data []byte) (BondsForfeitForReceiptsOutput, error) {
	out, err := bonds.abi.Unpack("forfeitForReceipts", data)
	outstruct := new(BondsForfeitForReceiptsOutput)
	if err != nil {
		return *outstruct, err
	}
	outstruct.Identity = *abi.ConvertType(out[0], new(common.Address)).(*common.Address)
	outstruct.Amount = abi.ConvertType(out[1], new(big.Int)).(*big.Int)
	return *outstruct, nil
}

// PackInitialize is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x6ef40240.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function initialize(address authority, (uint96,uint32)[3] first) returns()
func (bonds *Bonds) PackInitialize(authority common.Address, first [3]BondsTerms) []byte {
	enc, err := bonds.abi.Pack("initialize", authority, first)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackInitialize is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x6ef40240.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function initialize(address authority, (uint96,uint32)[3] first) returns()
func (bonds *Bonds) TryPackInitialize(authority common.Address, first [3]BondsTerms) ([]byte, error) {
	return bonds.abi.Pack("initialize", authority, first)
}

// PackIsActive is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xd10eaae3.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function isActive(uint8 kind, address identity) view returns(bool)
func (bonds *Bonds) PackIsActive(kind uint8, identity common.Address) []byte {
	enc, err := bonds.abi.Pack("isActive", kind, identity)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackIsActive is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xd10eaae3.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function isActive(uint8 kind, address identity) view returns(bool)
func (bonds *Bonds) TryPackIsActive(kind uint8, identity common.Address) ([]byte, error) {
	return bonds.abi.Pack("isActive", kind, identity)
}

// UnpackIsActive is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xd10eaae3.
//
// Solidity: function isActive(uint8 kind, address identity) view returns(bool)
func (bonds *Bonds) UnpackIsActive(data []byte) (bool, error) {
	out, err := bonds.abi.Unpack("isActive", data)
	if err != nil {
		return *new(bool), err
	}
	out0 := *abi.ConvertType(out[0], new(bool)).(*bool)
	return out0, nil
}

// PackIsConsumingScheduledOp is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x8fb36037.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function isConsumingScheduledOp() view returns(bytes4)
func (bonds *Bonds) PackIsConsumingScheduledOp() []byte {
	enc, err := bonds.abi.Pack("isConsumingScheduledOp")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackIsConsumingScheduledOp is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x8fb36037.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function isConsumingScheduledOp() view returns(bytes4)
func (bonds *Bonds) TryPackIsConsumingScheduledOp() ([]byte, error) {
	return bonds.abi.Pack("isConsumingScheduledOp")
}

// UnpackIsConsumingScheduledOp is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x8fb36037.
//
// Solidity: function isConsumingScheduledOp() view returns(bytes4)
func (bonds *Bonds) UnpackIsConsumingScheduledOp(data []byte) ([4]byte, error) {
	out, err := bonds.abi.Unpack("isConsumingScheduledOp", data)
	if err != nil {
		return *new([4]byte), err
	}
	out0 := *abi.ConvertType(out[0], new([4]byte)).(*[4]byte)
	return out0, nil
}

// PackIsReporter is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x044ad7be.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function isReporter(address identity) view returns(bool)
func (bonds *Bonds) PackIsReporter(identity common.Address) []byte {
	enc, err := bonds.abi.Pack("isReporter", identity)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackIsReporter is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x044ad7be.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function isReporter(address identity) view returns(bool)
func (bonds *Bonds) TryPackIsReporter(identity common.Address) ([]byte, error) {
	return bonds.abi.Pack("isReporter", identity)
}

// UnpackIsReporter is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x044ad7be.
//
// Solidity: function isReporter(address identity) view returns(bool)
func (bonds *Bonds) UnpackIsReporter(data []byte) (bool, error) {
	out, err := bonds.abi.Unpack("isReporter", data)
	if err != nil {
		return *new(bool), err
	}
	out0 := *abi.ConvertType(out[0], new(bool)).(*bool)
	return out0, nil
}

// PackMinGeneration is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x4253bfa8.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function minGeneration(uint8 kind, address identity) view returns(uint64)
func (bonds *Bonds) PackMinGeneration(kind uint8, identity common.Address) []byte {
	enc, err := bonds.abi.Pack("minGeneration", kind, identity)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackMinGeneration is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x4253bfa8.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function minGeneration(uint8 kind, address identity) view returns(uint64)
func (bonds *Bonds) TryPackMinGeneration(kind uint8, identity common.Address) ([]byte, error) {
	return bonds.abi.Pack("minGeneration", kind, identity)
}

// UnpackMinGeneration is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x4253bfa8.
//
// Solidity: function minGeneration(uint8 kind, address identity) view returns(uint64)
func (bonds *Bonds) UnpackMinGeneration(data []byte) (uint64, error) {
	out, err := bonds.abi.Unpack("minGeneration", data)
	if err != nil {
		return *new(uint64), err
	}
	out0 := *abi.ConvertType(out[0], new(uint64)).(*uint64)
	return out0, nil
}

// PackPause is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x8456cb59.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function pause() returns()
func (bonds *Bonds) PackPause() []byte {
	enc, err := bonds.abi.Pack("pause")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackPause is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x8456cb59.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function pause() returns()
func (bonds *Bonds) TryPackPause() ([]byte, error) {
	return bonds.abi.Pack("pause")
}

// PackPaused is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x5c975abb.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function paused() view returns(bool)
func (bonds *Bonds) PackPaused() []byte {
	enc, err := bonds.abi.Pack("paused")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackPaused is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x5c975abb.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function paused() view returns(bool)
func (bonds *Bonds) TryPackPaused() ([]byte, error) {
	return bonds.abi.Pack("paused")
}

// UnpackPaused is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x5c975abb.
//
// Solidity: function paused() view returns(bool)
func (bonds *Bonds) UnpackPaused(data []byte) (bool, error) {
	out, err := bonds.abi.Unpack("paused", data)
	if err != nil {
		return *new(bool), err
	}
	out0 := *abi.ConvertType(out[0], new(bool)).(*bool)
	return out0, nil
}

// PackProxiableUUID is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x52d1902d.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function proxiableUUID() view returns(bytes32)
func (bonds *Bonds) PackProxiableUUID() []byte {
	enc, err := bonds.abi.Pack("proxiableUUID")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackProxiableUUID is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x52d1902d.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function proxiableUUID() view returns(bytes32)
func (bonds *Bonds) TryPackProxiableUUID() ([]byte, error) {
	return bonds.abi.Pack("proxiableUUID")
}

// UnpackProxiableUUID is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x52d1902d.
//
// Solidity: function proxiableUUID() view returns(bytes32)
func (bonds *Bonds) UnpackProxiableUUID(data []byte) ([32]byte, error) {
	out, err := bonds.abi.Unpack("proxiableUUID", data)
	if err != nil {
		return *new([32]byte), err
	}
	out0 := *abi.ConvertType(out[0], new([32]byte)).(*[32]byte)
	return out0, nil
}

// PackRaiseGeneration is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xb9c3b47a.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function raiseGeneration(uint8 kind, address identity, uint64 generation) returns()
func (bonds *Bonds) PackRaiseGeneration(kind uint8, identity common.Address, generation uint64) []byte {
	enc, err := bonds.abi.Pack("raiseGeneration", kind, identity, generation)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackRaiseGeneration is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xb9c3b47a.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function raiseGeneration(uint8 kind, address identity, uint64 generation) returns()
func (bonds *Bonds) TryPackRaiseGeneration(kind uint8, identity common.Address, generation uint64) ([]byte, error) {
	return bonds.abi.Pack("raiseGeneration", kind, identity, generation)
}

// PackRemoveReporter is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x5de5c212.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function removeReporter(address identity) returns()
func (bonds *Bonds) PackRemoveReporter(identity common.Address) []byte {
	enc, err := bonds.abi.Pack("removeReporter", identity)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackRemoveReporter is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x5de5c212.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function removeReporter(address identity) returns()
func (bonds *Bonds) TryPackRemoveReporter(identity common.Address) ([]byte, error) {
	return bonds.abi.Pack("removeReporter", identity)
}

// PackReporterCount is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x850e3c48.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function reporterCount() view returns(uint256)
func (bonds *Bonds) PackReporterCount() []byte {
	enc, err := bonds.abi.Pack("reporterCount")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackReporterCount is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x850e3c48.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function reporterCount() view returns(uint256)
func (bonds *Bonds) TryPackReporterCount() ([]byte, error) {
	return bonds.abi.Pack("reporterCount")
}

// UnpackReporterCount is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x850e3c48.
//
// Solidity: function reporterCount() view returns(uint256)
func (bonds *Bonds) UnpackReporterCount(data []byte) (*big.Int, error) {
	out, err := bonds.abi.Unpack("reporterCount", data)
	if err != nil {
		return new(big.Int), err
	}
	out0 := abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	return out0, nil
}

// PackReporters is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xf144d486.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function reporters() view returns(address[])
func (bonds *Bonds) PackReporters() []byte {
	enc, err := bonds.abi.Pack("reporters")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackReporters is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xf144d486.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function reporters() view returns(address[])
func (bonds *Bonds) TryPackReporters() ([]byte, error) {
	return bonds.abi.Pack("reporters")
}

// UnpackReporters is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xf144d486.
//
// Solidity: function reporters() view returns(address[])
func (bonds *Bonds) UnpackReporters(data []byte) ([]common.Address, error) {
	out, err := bonds.abi.Unpack("reporters", data)
	if err != nil {
		return *new([]common.Address), err
	}
	out0 := *abi.ConvertType(out[0], new([]common.Address)).(*[]common.Address)
	return out0, nil
}

// PackSetAuthority is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x7a9e5e4b.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function setAuthority(address newAuthority) returns()
func (bonds *Bonds) PackSetAuthority(newAuthority common.Address) []byte {
	enc, err := bonds.abi.Pack("setAuthority", newAuthority)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackSetAuthority is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x7a9e5e4b.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function setAuthority(address newAuthority) returns()
func (bonds *Bonds) TryPackSetAuthority(newAuthority common.Address) ([]byte, error) {
	return bonds.abi.Pack("setAuthority", newAuthority)
}

// PackSetTerms is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xebfd0de4.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function setTerms(uint8 kind, uint96 minimum, uint32 unbonding) returns()
func (bonds *Bonds) PackSetTerms(kind uint8, minimum *big.Int, unbonding uint32) []byte {
	enc, err := bonds.abi.Pack("setTerms", kind, minimum, unbonding)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackSetTerms is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xebfd0de4.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function setTerms(uint8 kind, uint96 minimum, uint32 unbonding) returns()
func (bonds *Bonds) TryPackSetTerms(kind uint8, minimum *big.Int, unbonding uint32) ([]byte, error) {
	return bonds.abi.Pack("setTerms", kind, minimum, unbonding)
}

// PackStartUnbonding is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xce0c7d9a.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function startUnbonding(uint8 kind, address identity) returns()
func (bonds *Bonds) PackStartUnbonding(kind uint8, identity common.Address) []byte {
	enc, err := bonds.abi.Pack("startUnbonding", kind, identity)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackStartUnbonding is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xce0c7d9a.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function startUnbonding(uint8 kind, address identity) returns()
func (bonds *Bonds) TryPackStartUnbonding(kind uint8, identity common.Address) ([]byte, error) {
	return bonds.abi.Pack("startUnbonding", kind, identity)
}

// PackTerms is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x6ac4172b.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function terms(uint8 kind) view returns(uint96 minimum, uint32 unbonding)
func (bonds *Bonds) PackTerms(kind uint8) []byte {
	enc, err := bonds.abi.Pack("terms", kind)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackTerms is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x6ac4172b.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function terms(uint8 kind) view returns(uint96 minimum, uint32 unbonding)
func (bonds *Bonds) TryPackTerms(kind uint8) ([]byte, error) {
	return bonds.abi.Pack("terms", kind)
}

// BondsTermsOutput serves as a container for the return parameters of contract
// method Terms.
type BondsTermsOutput struct {
	Minimum   *big.Int
	Unbonding uint32
}

// UnpackTerms is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x6ac4172b.
//
// Solidity: function terms(uint8 kind) view returns(uint96 minimum, uint32 unbonding)
func (bonds *Bonds) UnpackTerms(data []byte) (BondsTermsOutput, error) {
	out, err := bonds.abi.Unpack("terms", data)
	outstruct := new(BondsTermsOutput)
	if err != nil {
		return *outstruct, err
	}
	outstruct.Minimum = abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	outstruct.Unbonding = *abi.ConvertType(out[1], new(uint32)).(*uint32)
	return *outstruct, nil
}

// PackUnpause is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x3f4ba83a.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function unpause() returns()
func (bonds *Bonds) PackUnpause() []byte {
	enc, err := bonds.abi.Pack("unpause")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackUnpause is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x3f4ba83a.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function unpause() returns()
func (bonds *Bonds) TryPackUnpause() ([]byte, error) {
	return bonds.abi.Pack("unpause")
}

// PackUpgradeToAndCall is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x4f1ef286.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function upgradeToAndCall(address newImplementation, bytes data) payable returns()
func (bonds *Bonds) PackUpgradeToAndCall(newImplementation common.Address, data []byte) []byte {
	enc, err := bonds.abi.Pack("upgradeToAndCall", newImplementation, data)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackUpgradeToAndCall is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x4f1ef286.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function upgradeToAndCall(address newImplementation, bytes data) payable returns()
func (bonds *Bonds) TryPackUpgradeToAndCall(newImplementation common.Address, data []byte) ([]byte, error) {
	return bonds.abi.Pack("upgradeToAndCall", newImplementation, data)
}

// PackWithdraw is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xdd6ad764.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function withdraw(uint8 kind, address identity) returns()
func (bonds *Bonds) PackWithdraw(kind uint8, identity common.Address) []byte {
	enc, err := bonds.abi.Pack("withdraw", kind, identity)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackWithdraw is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xdd6ad764.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function withdraw(uint8 kind, address identity) returns()
func (bonds *Bonds) TryPackWithdraw(kind uint8, identity common.Address) ([]byte, error) {
	return bonds.abi.Pack("withdraw", kind, identity)
}

// BondsAuthorityUpdated represents a AuthorityUpdated event raised by the Bonds contract.
type BondsAuthorityUpdated struct {
	Authority common.Address
	Raw       *types.Log // Blockchain specific contextual infos
}

const BondsAuthorityUpdatedEventName = "AuthorityUpdated"

// ContractEventName returns the user-defined event name.
func (BondsAuthorityUpdated) ContractEventName() string {
	return BondsAuthorityUpdatedEventName
}

// UnpackAuthorityUpdatedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event AuthorityUpdated(address authority)
func (bonds *Bonds) UnpackAuthorityUpdatedEvent(log *types.Log) (*BondsAuthorityUpdated, error) {
	event := "AuthorityUpdated"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != bonds.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(BondsAuthorityUpdated)
	if len(log.Data) > 0 {
		if err := bonds.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range bonds.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// BondsBondWithdrawn represents a BondWithdrawn event raised by the Bonds contract.
type BondsBondWithdrawn struct {
	Kind     uint8
	Identity common.Address
	Amount   *big.Int
	Raw      *types.Log // Blockchain specific contextual infos
}

const BondsBondWithdrawnEventName = "BondWithdrawn"

// ContractEventName returns the user-defined event name.
func (BondsBondWithdrawn) ContractEventName() string {
	return BondsBondWithdrawnEventName
}

// UnpackBondWithdrawnEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event BondWithdrawn(uint8 indexed kind, address indexed identity, uint256 amount)
func (bonds *Bonds) UnpackBondWithdrawnEvent(log *types.Log) (*BondsBondWithdrawn, error) {
	event := "BondWithdrawn"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != bonds.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(BondsBondWithdrawn)
	if len(log.Data) > 0 {
		if err := bonds.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range bonds.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// BondsBonded represents a Bonded event raised by the Bonds contract.
type BondsBonded struct {
	Kind     uint8
	Identity common.Address
	Owner    common.Address
	Amount   *big.Int
	Raw      *types.Log // Blockchain specific contextual infos
}

const BondsBondedEventName = "Bonded"

// ContractEventName returns the user-defined event name.
func (BondsBonded) ContractEventName() string {
	return BondsBondedEventName
}

// UnpackBondedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event Bonded(uint8 indexed kind, address indexed identity, address indexed owner, uint256 amount)
func (bonds *Bonds) UnpackBondedEvent(log *types.Log) (*BondsBonded, error) {
	event := "Bonded"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != bonds.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(BondsBonded)
	if len(log.Data) > 0 {
		if err := bonds.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range bonds.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// BondsForfeited represents a Forfeited event raised by the Bonds contract.
type BondsForfeited struct {
	Kind     uint8
	Identity common.Address
	Amount   *big.Int
	First    [32]byte
	Second   [32]byte
	Raw      *types.Log // Blockchain specific contextual infos
}

const BondsForfeitedEventName = "Forfeited"

// ContractEventName returns the user-defined event name.
func (BondsForfeited) ContractEventName() string {
	return BondsForfeitedEventName
}

// UnpackForfeitedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event Forfeited(uint8 indexed kind, address indexed identity, uint256 amount, bytes32 first, bytes32 second)
func (bonds *Bonds) UnpackForfeitedEvent(log *types.Log) (*BondsForfeited, error) {
	event := "Forfeited"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != bonds.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(BondsForfeited)
	if len(log.Data) > 0 {
		if err := bonds.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range bonds.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// BondsGenerationRaised represents a GenerationRaised event raised by the Bonds contract.
type BondsGenerationRaised struct {
	Kind       uint8
	Identity   common.Address
	Generation uint64
	Raw        *types.Log // Blockchain specific contextual infos
}

const BondsGenerationRaisedEventName = "GenerationRaised"

// ContractEventName returns the user-defined event name.
func (BondsGenerationRaised) ContractEventName() string {
	return BondsGenerationRaisedEventName
}

// UnpackGenerationRaisedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event GenerationRaised(uint8 indexed kind, address indexed identity, uint64 generation)
func (bonds *Bonds) UnpackGenerationRaisedEvent(log *types.Log) (*BondsGenerationRaised, error) {
	event := "GenerationRaised"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != bonds.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(BondsGenerationRaised)
	if len(log.Data) > 0 {
		if err := bonds.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range bonds.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// BondsInitialized represents a Initialized event raised by the Bonds contract.
type BondsInitialized struct {
	Version uint64
	Raw     *types.Log // Blockchain specific contextual infos
}

const BondsInitializedEventName = "Initialized"

// ContractEventName returns the user-defined event name.
func (BondsInitialized) ContractEventName() string {
	return BondsInitializedEventName
}

// UnpackInitializedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event Initialized(uint64 version)
func (bonds *Bonds) UnpackInitializedEvent(log *types.Log) (*BondsInitialized, error) {
	event := "Initialized"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != bonds.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(BondsInitialized)
	if len(log.Data) > 0 {
		if err := bonds.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range bonds.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// BondsPaused represents a Paused event raised by the Bonds contract.
type BondsPaused struct {
	Account common.Address
	Raw     *types.Log // Blockchain specific contextual infos
}

const BondsPausedEventName = "Paused"

// ContractEventName returns the user-defined event name.
func (BondsPaused) ContractEventName() string {
	return BondsPausedEventName
}

// UnpackPausedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event Paused(address account)
func (bonds *Bonds) UnpackPausedEvent(log *types.Log) (*BondsPaused, error) {
	event := "Paused"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != bonds.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(BondsPaused)
	if len(log.Data) > 0 {
		if err := bonds.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range bonds.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// BondsReporterAdmitted represents a ReporterAdmitted event raised by the Bonds contract.
type BondsReporterAdmitted struct {
	Identity common.Address
	Raw      *types.Log // Blockchain specific contextual infos
}

const BondsReporterAdmittedEventName = "ReporterAdmitted"

// ContractEventName returns the user-defined event name.
func (BondsReporterAdmitted) ContractEventName() string {
	return BondsReporterAdmittedEventName
}

// UnpackReporterAdmittedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event ReporterAdmitted(address indexed identity)
func (bonds *Bonds) UnpackReporterAdmittedEvent(log *types.Log) (*BondsReporterAdmitted, error) {
	event := "ReporterAdmitted"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != bonds.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(BondsReporterAdmitted)
	if len(log.Data) > 0 {
		if err := bonds.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range bonds.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// BondsReporterRemoved represents a ReporterRemoved event raised by the Bonds contract.
type BondsReporterRemoved struct {
	Identity common.Address
	Raw      *types.Log // Blockchain specific contextual infos
}

const BondsReporterRemovedEventName = "ReporterRemoved"

// ContractEventName returns the user-defined event name.
func (BondsReporterRemoved) ContractEventName() string {
	return BondsReporterRemovedEventName
}

// UnpackReporterRemovedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event ReporterRemoved(address indexed identity)
func (bonds *Bonds) UnpackReporterRemovedEvent(log *types.Log) (*BondsReporterRemoved, error) {
	event := "ReporterRemoved"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != bonds.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(BondsReporterRemoved)
	if len(log.Data) > 0 {
		if err := bonds.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range bonds.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// BondsTermsSet represents a TermsSet event raised by the Bonds contract.
type BondsTermsSet struct {
	Kind      uint8
	Minimum   *big.Int
	Unbonding uint32
	Raw       *types.Log // Blockchain specific contextual infos
}

const BondsTermsSetEventName = "TermsSet"

// ContractEventName returns the user-defined event name.
func (BondsTermsSet) ContractEventName() string {
	return BondsTermsSetEventName
}

// UnpackTermsSetEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event TermsSet(uint8 indexed kind, uint96 minimum, uint32 unbonding)
func (bonds *Bonds) UnpackTermsSetEvent(log *types.Log) (*BondsTermsSet, error) {
	event := "TermsSet"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != bonds.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(BondsTermsSet)
	if len(log.Data) > 0 {
		if err := bonds.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range bonds.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// BondsUnbondingStarted represents a UnbondingStarted event raised by the Bonds contract.
type BondsUnbondingStarted struct {
	Kind     uint8
	Identity common.Address
	ReadyAt  uint64
	Raw      *types.Log // Blockchain specific contextual infos
}

const BondsUnbondingStartedEventName = "UnbondingStarted"

// ContractEventName returns the user-defined event name.
func (BondsUnbondingStarted) ContractEventName() string {
	return BondsUnbondingStartedEventName
}

// UnpackUnbondingStartedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event UnbondingStarted(uint8 indexed kind, address indexed identity, uint64 readyAt)
func (bonds *Bonds) UnpackUnbondingStartedEvent(log *types.Log) (*BondsUnbondingStarted, error) {
	event := "UnbondingStarted"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != bonds.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(BondsUnbondingStarted)
	if len(log.Data) > 0 {
		if err := bonds.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range bonds.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// BondsUnpaused represents a Unpaused event raised by the Bonds contract.
type BondsUnpaused struct {
	Account common.Address
	Raw     *types.Log // Blockchain specific contextual infos
}

const BondsUnpausedEventName = "Unpaused"

// ContractEventName returns the user-defined event name.
func (BondsUnpaused) ContractEventName() string {
	return BondsUnpausedEventName
}

// UnpackUnpausedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event Unpaused(address account)
func (bonds *Bonds) UnpackUnpausedEvent(log *types.Log) (*BondsUnpaused, error) {
	event := "Unpaused"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != bonds.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(BondsUnpaused)
	if len(log.Data) > 0 {
		if err := bonds.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range bonds.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// BondsUpgraded represents a Upgraded event raised by the Bonds contract.
type BondsUpgraded struct {
	Implementation common.Address
	Raw            *types.Log // Blockchain specific contextual infos
}

const BondsUpgradedEventName = "Upgraded"

// ContractEventName returns the user-defined event name.
func (BondsUpgraded) ContractEventName() string {
	return BondsUpgradedEventName
}

// UnpackUpgradedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event Upgraded(address indexed implementation)
func (bonds *Bonds) UnpackUpgradedEvent(log *types.Log) (*BondsUpgraded, error) {
	event := "Upgraded"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != bonds.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(BondsUpgraded)
	if len(log.Data) > 0 {
		if err := bonds.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range bonds.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// UnpackError attempts to decode the provided error data using user-defined
// error definitions.
func (bonds *Bonds) UnpackError(raw []byte) (any, error) {
	if bytes.Equal(raw[:4], bonds.abi.Errors["AccessManagedInvalidAuthority"].ID.Bytes()[:4]) {
		return bonds.UnpackAccessManagedInvalidAuthorityError(raw[4:])
	}
	if bytes.Equal(raw[:4], bonds.abi.Errors["AccessManagedRequiredDelay"].ID.Bytes()[:4]) {
		return bonds.UnpackAccessManagedRequiredDelayError(raw[4:])
	}
	if bytes.Equal(raw[:4], bonds.abi.Errors["AccessManagedUnauthorized"].ID.Bytes()[:4]) {
		return bonds.UnpackAccessManagedUnauthorizedError(raw[4:])
	}
	if bytes.Equal(raw[:4], bonds.abi.Errors["AddressEmptyCode"].ID.Bytes()[:4]) {
		return bonds.UnpackAddressEmptyCodeError(raw[4:])
	}
	if bytes.Equal(raw[:4], bonds.abi.Errors["Bonds_AlreadyReporter"].ID.Bytes()[:4]) {
		return bonds.UnpackBondsAlreadyReporterError(raw[4:])
	}
	if bytes.Equal(raw[:4], bonds.abi.Errors["Bonds_ConsentExpired"].ID.Bytes()[:4]) {
		return bonds.UnpackBondsConsentExpiredError(raw[4:])
	}
	if bytes.Equal(raw[:4], bonds.abi.Errors["Bonds_GenerationNotHigher"].ID.Bytes()[:4]) {
		return bonds.UnpackBondsGenerationNotHigherError(raw[4:])
	}
	if bytes.Equal(raw[:4], bonds.abi.Errors["Bonds_NoContradiction"].ID.Bytes()[:4]) {
		return bonds.UnpackBondsNoContradictionError(raw[4:])
	}
	if bytes.Equal(raw[:4], bonds.abi.Errors["Bonds_NotBonded"].ID.Bytes()[:4]) {
		return bonds.UnpackBondsNotBondedError(raw[4:])
	}
	if bytes.Equal(raw[:4], bonds.abi.Errors["Bonds_NotIdentitysConsent"].ID.Bytes()[:4]) {
		return bonds.UnpackBondsNotIdentitysConsentError(raw[4:])
	}
	if bytes.Equal(raw[:4], bonds.abi.Errors["Bonds_NotOwner"].ID.Bytes()[:4]) {
		return bonds.UnpackBondsNotOwnerError(raw[4:])
	}
	if bytes.Equal(raw[:4], bonds.abi.Errors["Bonds_NotReporter"].ID.Bytes()[:4]) {
		return bonds.UnpackBondsNotReporterError(raw[4:])
	}
	if bytes.Equal(raw[:4], bonds.abi.Errors["Bonds_NotUnbonding"].ID.Bytes()[:4]) {
		return bonds.UnpackBondsNotUnbondingError(raw[4:])
	}
	if bytes.Equal(raw[:4], bonds.abi.Errors["Bonds_SignersDiffer"].ID.Bytes()[:4]) {
		return bonds.UnpackBondsSignersDifferError(raw[4:])
	}
	if bytes.Equal(raw[:4], bonds.abi.Errors["Bonds_StillLocked"].ID.Bytes()[:4]) {
		return bonds.UnpackBondsStillLockedError(raw[4:])
	}
	if bytes.Equal(raw[:4], bonds.abi.Errors["Bonds_TooManyReporters"].ID.Bytes()[:4]) {
		return bonds.UnpackBondsTooManyReportersError(raw[4:])
	}
	if bytes.Equal(raw[:4], bonds.abi.Errors["Bonds_TooSmall"].ID.Bytes()[:4]) {
		return bonds.UnpackBondsTooSmallError(raw[4:])
	}
	if bytes.Equal(raw[:4], bonds.abi.Errors["Bonds_Unbonding"].ID.Bytes()[:4]) {
		return bonds.UnpackBondsUnbondingError(raw[4:])
	}
	if bytes.Equal(raw[:4], bonds.abi.Errors["ECDSAInvalidSignature"].ID.Bytes()[:4]) {
		return bonds.UnpackECDSAInvalidSignatureError(raw[4:])
	}
	if bytes.Equal(raw[:4], bonds.abi.Errors["ECDSAInvalidSignatureLength"].ID.Bytes()[:4]) {
		return bonds.UnpackECDSAInvalidSignatureLengthError(raw[4:])
	}
	if bytes.Equal(raw[:4], bonds.abi.Errors["ECDSAInvalidSignatureS"].ID.Bytes()[:4]) {
		return bonds.UnpackECDSAInvalidSignatureSError(raw[4:])
	}
	if bytes.Equal(raw[:4], bonds.abi.Errors["ERC1967InvalidImplementation"].ID.Bytes()[:4]) {
		return bonds.UnpackERC1967InvalidImplementationError(raw[4:])
	}
	if bytes.Equal(raw[:4], bonds.abi.Errors["ERC1967NonPayable"].ID.Bytes()[:4]) {
		return bonds.UnpackERC1967NonPayableError(raw[4:])
	}
	if bytes.Equal(raw[:4], bonds.abi.Errors["EnforcedPause"].ID.Bytes()[:4]) {
		return bonds.UnpackEnforcedPauseError(raw[4:])
	}
	if bytes.Equal(raw[:4], bonds.abi.Errors["ExpectedPause"].ID.Bytes()[:4]) {
		return bonds.UnpackExpectedPauseError(raw[4:])
	}
	if bytes.Equal(raw[:4], bonds.abi.Errors["FailedCall"].ID.Bytes()[:4]) {
		return bonds.UnpackFailedCallError(raw[4:])
	}
	if bytes.Equal(raw[:4], bonds.abi.Errors["InvalidInitialization"].ID.Bytes()[:4]) {
		return bonds.UnpackInvalidInitializationError(raw[4:])
	}
	if bytes.Equal(raw[:4], bonds.abi.Errors["NotInitializing"].ID.Bytes()[:4]) {
		return bonds.UnpackNotInitializingError(raw[4:])
	}
	if bytes.Equal(raw[:4], bonds.abi.Errors["SafeERC20FailedOperation"].ID.Bytes()[:4]) {
		return bonds.UnpackSafeERC20FailedOperationError(raw[4:])
	}
	if bytes.Equal(raw[:4], bonds.abi.Errors["UUPSUnauthorizedCallContext"].ID.Bytes()[:4]) {
		return bonds.UnpackUUPSUnauthorizedCallContextError(raw[4:])
	}
	if bytes.Equal(raw[:4], bonds.abi.Errors["UUPSUnsupportedProxiableUUID"].ID.Bytes()[:4]) {
		return bonds.UnpackUUPSUnsupportedProxiableUUIDError(raw[4:])
	}
	return nil, errors.New("Unknown error")
}

// BondsAccessManagedInvalidAuthority represents a AccessManagedInvalidAuthority error raised by the Bonds contract.
type BondsAccessManagedInvalidAuthority struct {
	Authority common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error AccessManagedInvalidAuthority(address authority)
func BondsAccessManagedInvalidAuthorityErrorID() common.Hash {
	return common.HexToHash("0xc2f31e5ee06c96eddd5864bf58d26da15afa7233cb6f74e000aa686fca7a7a0b")
}

// UnpackAccessManagedInvalidAuthorityError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error AccessManagedInvalidAuthority(address authority)
func (bonds *Bonds) UnpackAccessManagedInvalidAuthorityError(raw []byte) (*BondsAccessManagedInvalidAuthority, error) {
	out := new(BondsAccessManagedInvalidAuthority)
	if err := bonds.abi.UnpackIntoInterface(out, "AccessManagedInvalidAuthority", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// BondsAccessManagedRequiredDelay represents a AccessManagedRequiredDelay error raised by the Bonds contract.
type BondsAccessManagedRequiredDelay struct {
	Caller common.Address
	Delay  uint32
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error AccessManagedRequiredDelay(address caller, uint32 delay)
func BondsAccessManagedRequiredDelayErrorID() common.Hash {
	return common.HexToHash("0xaf77169dad650be42a753d4bbd4f4ad0d10be80053e495da3bb1525746eda4e4")
}

// UnpackAccessManagedRequiredDelayError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error AccessManagedRequiredDelay(address caller, uint32 delay)
func (bonds *Bonds) UnpackAccessManagedRequiredDelayError(raw []byte) (*BondsAccessManagedRequiredDelay, error) {
	out := new(BondsAccessManagedRequiredDelay)
	if err := bonds.abi.UnpackIntoInterface(out, "AccessManagedRequiredDelay", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// BondsAccessManagedUnauthorized represents a AccessManagedUnauthorized error raised by the Bonds contract.
type BondsAccessManagedUnauthorized struct {
	Caller common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error AccessManagedUnauthorized(address caller)
func BondsAccessManagedUnauthorizedErrorID() common.Hash {
	return common.HexToHash("0x068ca9d827f779c08fd30d7fda45faef5f2a6b2e57f8b809b3c6bbed99f5fb1f")
}

// UnpackAccessManagedUnauthorizedError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error AccessManagedUnauthorized(address caller)
func (bonds *Bonds) UnpackAccessManagedUnauthorizedError(raw []byte) (*BondsAccessManagedUnauthorized, error) {
	out := new(BondsAccessManagedUnauthorized)
	if err := bonds.abi.UnpackIntoInterface(out, "AccessManagedUnauthorized", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// BondsAddressEmptyCode represents a AddressEmptyCode error raised by the Bonds contract.
type BondsAddressEmptyCode struct {
	Target common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error AddressEmptyCode(address target)
func BondsAddressEmptyCodeErrorID() common.Hash {
	return common.HexToHash("0x9996b315c842ff135b8fc4a08ad5df1c344efbc03d2687aecc0678050d2aac89")
}

// UnpackAddressEmptyCodeError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error AddressEmptyCode(address target)
func (bonds *Bonds) UnpackAddressEmptyCodeError(raw []byte) (*BondsAddressEmptyCode, error) {
	out := new(BondsAddressEmptyCode)
	if err := bonds.abi.UnpackIntoInterface(out, "AddressEmptyCode", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// BondsBondsAlreadyReporter represents a Bonds_AlreadyReporter error raised by the Bonds contract.
type BondsBondsAlreadyReporter struct {
	Identity common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error Bonds_AlreadyReporter(address identity)
func BondsBondsAlreadyReporterErrorID() common.Hash {
	return common.HexToHash("0xa72b6db6406362be5b4b534429af6e488e6fa375892b5b1b3f6f07c93ab57d49")
}

// UnpackBondsAlreadyReporterError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error Bonds_AlreadyReporter(address identity)
func (bonds *Bonds) UnpackBondsAlreadyReporterError(raw []byte) (*BondsBondsAlreadyReporter, error) {
	out := new(BondsBondsAlreadyReporter)
	if err := bonds.abi.UnpackIntoInterface(out, "Bonds_AlreadyReporter", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// BondsBondsConsentExpired represents a Bonds_ConsentExpired error raised by the Bonds contract.
type BondsBondsConsentExpired struct {
	Deadline *big.Int
	Now      *big.Int
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error Bonds_ConsentExpired(uint256 deadline, uint256 now_)
func BondsBondsConsentExpiredErrorID() common.Hash {
	return common.HexToHash("0x1bd0639938d9bec63cfebea23659334fc2698611307e0eb588f4767bb0753e34")
}

// UnpackBondsConsentExpiredError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error Bonds_ConsentExpired(uint256 deadline, uint256 now_)
func (bonds *Bonds) UnpackBondsConsentExpiredError(raw []byte) (*BondsBondsConsentExpired, error) {
	out := new(BondsBondsConsentExpired)
	if err := bonds.abi.UnpackIntoInterface(out, "Bonds_ConsentExpired", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// BondsBondsGenerationNotHigher represents a Bonds_GenerationNotHigher error raised by the Bonds contract.
type BondsBondsGenerationNotHigher struct {
	Got     uint64
	Current uint64
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error Bonds_GenerationNotHigher(uint64 got, uint64 current)
func BondsBondsGenerationNotHigherErrorID() common.Hash {
	return common.HexToHash("0x0f697cf121b45078dd0096b34c5c499bd5a1320d7c022b5d3ab04b53844e3cad")
}

// UnpackBondsGenerationNotHigherError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error Bonds_GenerationNotHigher(uint64 got, uint64 current)
func (bonds *Bonds) UnpackBondsGenerationNotHigherError(raw []byte) (*BondsBondsGenerationNotHigher, error) {
	out := new(BondsBondsGenerationNotHigher)
	if err := bonds.abi.UnpackIntoInterface(out, "Bonds_GenerationNotHigher", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// BondsBondsNoContradiction represents a Bonds_NoContradiction error raised by the Bonds contract.
type BondsBondsNoContradiction struct {
	First  [32]byte
	Second [32]byte
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error Bonds_NoContradiction(bytes32 first, bytes32 second)
func BondsBondsNoContradictionErrorID() common.Hash {
	return common.HexToHash("0x77a880ab02885d275bbda741e8b2be83e122b1c0f1cc64beb66b8d55b39c8f43")
}

// UnpackBondsNoContradictionError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error Bonds_NoContradiction(bytes32 first, bytes32 second)
func (bonds *Bonds) UnpackBondsNoContradictionError(raw []byte) (*BondsBondsNoContradiction, error) {
	out := new(BondsBondsNoContradiction)
	if err := bonds.abi.UnpackIntoInterface(out, "Bonds_NoContradiction", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// BondsBondsNotBonded represents a Bonds_NotBonded error raised by the Bonds contract.
type BondsBondsNotBonded struct {
	Kind     uint8
	Identity common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error Bonds_NotBonded(uint8 kind, address identity)
func BondsBondsNotBondedErrorID() common.Hash {
	return common.HexToHash("0x5a7d79182237956b013a0861a7825e8d8cf7fdbd727188841aa7ecd9e9f50e46")
}

// UnpackBondsNotBondedError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error Bonds_NotBonded(uint8 kind, address identity)
func (bonds *Bonds) UnpackBondsNotBondedError(raw []byte) (*BondsBondsNotBonded, error) {
	out := new(BondsBondsNotBonded)
	if err := bonds.abi.UnpackIntoInterface(out, "Bonds_NotBonded", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// BondsBondsNotIdentitysConsent represents a Bonds_NotIdentitysConsent error raised by the Bonds contract.
type BondsBondsNotIdentitysConsent struct {
	Identity common.Address
	Signer   common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error Bonds_NotIdentitysConsent(address identity, address signer)
func BondsBondsNotIdentitysConsentErrorID() common.Hash {
	return common.HexToHash("0xf628076dda899b8f1363421c653db508a4532bde0afb3f270f829572837e6020")
}

// UnpackBondsNotIdentitysConsentError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error Bonds_NotIdentitysConsent(address identity, address signer)
func (bonds *Bonds) UnpackBondsNotIdentitysConsentError(raw []byte) (*BondsBondsNotIdentitysConsent, error) {
	out := new(BondsBondsNotIdentitysConsent)
	if err := bonds.abi.UnpackIntoInterface(out, "Bonds_NotIdentitysConsent", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// BondsBondsNotOwner represents a Bonds_NotOwner error raised by the Bonds contract.
type BondsBondsNotOwner struct {
	Kind     uint8
	Identity common.Address
	Caller   common.Address
	Owner    common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error Bonds_NotOwner(uint8 kind, address identity, address caller, address owner)
func BondsBondsNotOwnerErrorID() common.Hash {
	return common.HexToHash("0x21f8245cda019abd2c365a63846e63246e12ed8c43ebe1caef519b28c5b4eccf")
}

// UnpackBondsNotOwnerError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error Bonds_NotOwner(uint8 kind, address identity, address caller, address owner)
func (bonds *Bonds) UnpackBondsNotOwnerError(raw []byte) (*BondsBondsNotOwner, error) {
	out := new(BondsBondsNotOwner)
	if err := bonds.abi.UnpackIntoInterface(out, "Bonds_NotOwner", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// BondsBondsNotReporter represents a Bonds_NotReporter error raised by the Bonds contract.
type BondsBondsNotReporter struct {
	Identity common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error Bonds_NotReporter(address identity)
func BondsBondsNotReporterErrorID() common.Hash {
	return common.HexToHash("0x4b9629c346785c091cfedba483064fcb913505831e862c8abfffaa901ed67ba3")
}

// UnpackBondsNotReporterError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error Bonds_NotReporter(address identity)
func (bonds *Bonds) UnpackBondsNotReporterError(raw []byte) (*BondsBondsNotReporter, error) {
	out := new(BondsBondsNotReporter)
	if err := bonds.abi.UnpackIntoInterface(out, "Bonds_NotReporter", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// BondsBondsNotUnbonding represents a Bonds_NotUnbonding error raised by the Bonds contract.
type BondsBondsNotUnbonding struct {
	Kind     uint8
	Identity common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error Bonds_NotUnbonding(uint8 kind, address identity)
func BondsBondsNotUnbondingErrorID() common.Hash {
	return common.HexToHash("0xa20d42585353e53fed50accd07f7a1a4273e14310dc6d68b3f6f4710b1cb87b3")
}

// UnpackBondsNotUnbondingError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error Bonds_NotUnbonding(uint8 kind, address identity)
func (bonds *Bonds) UnpackBondsNotUnbondingError(raw []byte) (*BondsBondsNotUnbonding, error) {
	out := new(BondsBondsNotUnbonding)
	if err := bonds.abi.UnpackIntoInterface(out, "Bonds_NotUnbonding", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// BondsBondsSignersDiffer represents a Bonds_SignersDiffer error raised by the Bonds contract.
type BondsBondsSignersDiffer struct {
	First  common.Address
	Second common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error Bonds_SignersDiffer(address first, address second)
func BondsBondsSignersDifferErrorID() common.Hash {
	return common.HexToHash("0x6c04e20b44fb98f6374d30bd0f2ffb4ca4ecf28f8cfb89ebd5684e326366ee07")
}

// UnpackBondsSignersDifferError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error Bonds_SignersDiffer(address first, address second)
func (bonds *Bonds) UnpackBondsSignersDifferError(raw []byte) (*BondsBondsSignersDiffer, error) {
	out := new(BondsBondsSignersDiffer)
	if err := bonds.abi.UnpackIntoInterface(out, "Bonds_SignersDiffer", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// BondsBondsStillLocked represents a Bonds_StillLocked error raised by the Bonds contract.
type BondsBondsStillLocked struct {
	Now     uint64
	ReadyAt uint64
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error Bonds_StillLocked(uint64 now_, uint64 readyAt)
func BondsBondsStillLockedErrorID() common.Hash {
	return common.HexToHash("0xafa6a5724734131b6a046a233844ed1015d0805726dd888cc0e1cf6bf3f808cb")
}

// UnpackBondsStillLockedError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error Bonds_StillLocked(uint64 now_, uint64 readyAt)
func (bonds *Bonds) UnpackBondsStillLockedError(raw []byte) (*BondsBondsStillLocked, error) {
	out := new(BondsBondsStillLocked)
	if err := bonds.abi.UnpackIntoInterface(out, "Bonds_StillLocked", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// BondsBondsTooManyReporters represents a Bonds_TooManyReporters error raised by the Bonds contract.
type BondsBondsTooManyReporters struct {
	Most *big.Int
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error Bonds_TooManyReporters(uint256 most)
func BondsBondsTooManyReportersErrorID() common.Hash {
	return common.HexToHash("0x1fde53a8dcb46e87dfd539e92c08fa1a10a3b5dde1f174b76e1354f28bc34fe3")
}

// UnpackBondsTooManyReportersError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error Bonds_TooManyReporters(uint256 most)
func (bonds *Bonds) UnpackBondsTooManyReportersError(raw []byte) (*BondsBondsTooManyReporters, error) {
	out := new(BondsBondsTooManyReporters)
	if err := bonds.abi.UnpackIntoInterface(out, "Bonds_TooManyReporters", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// BondsBondsTooSmall represents a Bonds_TooSmall error raised by the Bonds contract.
type BondsBondsTooSmall struct {
	Kind    uint8
	Amount  *big.Int
	Minimum *big.Int
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error Bonds_TooSmall(uint8 kind, uint256 amount, uint256 minimum)
func BondsBondsTooSmallErrorID() common.Hash {
	return common.HexToHash("0x2885bc0e9093d2abd172ab2b492e2f9a3aaebe0eb3ebac67bd7af6cdb0e5bf1e")
}

// UnpackBondsTooSmallError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error Bonds_TooSmall(uint8 kind, uint256 amount, uint256 minimum)
func (bonds *Bonds) UnpackBondsTooSmallError(raw []byte) (*BondsBondsTooSmall, error) {
	out := new(BondsBondsTooSmall)
	if err := bonds.abi.UnpackIntoInterface(out, "Bonds_TooSmall", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// BondsBondsUnbonding represents a Bonds_Unbonding error raised by the Bonds contract.
type BondsBondsUnbonding struct {
	Kind     uint8
	Identity common.Address
	ReadyAt  uint64
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error Bonds_Unbonding(uint8 kind, address identity, uint64 readyAt)
func BondsBondsUnbondingErrorID() common.Hash {
	return common.HexToHash("0x9068c17e553be2f9b8d00de478581b4b01dd94dcedd96d2843f81df381dabac3")
}

// UnpackBondsUnbondingError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error Bonds_Unbonding(uint8 kind, address identity, uint64 readyAt)
func (bonds *Bonds) UnpackBondsUnbondingError(raw []byte) (*BondsBondsUnbonding, error) {
	out := new(BondsBondsUnbonding)
	if err := bonds.abi.UnpackIntoInterface(out, "Bonds_Unbonding", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// BondsECDSAInvalidSignature represents a ECDSAInvalidSignature error raised by the Bonds contract.
type BondsECDSAInvalidSignature struct {
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error ECDSAInvalidSignature()
func BondsECDSAInvalidSignatureErrorID() common.Hash {
	return common.HexToHash("0xf645eedf0193584640b6b90cb9477e4c95b98636c148a891d4c0a146dc46e75a")
}

// UnpackECDSAInvalidSignatureError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error ECDSAInvalidSignature()
func (bonds *Bonds) UnpackECDSAInvalidSignatureError(raw []byte) (*BondsECDSAInvalidSignature, error) {
	out := new(BondsECDSAInvalidSignature)
	if err := bonds.abi.UnpackIntoInterface(out, "ECDSAInvalidSignature", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// BondsECDSAInvalidSignatureLength represents a ECDSAInvalidSignatureLength error raised by the Bonds contract.
type BondsECDSAInvalidSignatureLength struct {
	Length *big.Int
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error ECDSAInvalidSignatureLength(uint256 length)
func BondsECDSAInvalidSignatureLengthErrorID() common.Hash {
	return common.HexToHash("0xfce698f7e8e5342cd615f641317bc45fe7e1e4a8b0a14dd1383ff8dc9c41917f")
}

// UnpackECDSAInvalidSignatureLengthError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error ECDSAInvalidSignatureLength(uint256 length)
func (bonds *Bonds) UnpackECDSAInvalidSignatureLengthError(raw []byte) (*BondsECDSAInvalidSignatureLength, error) {
	out := new(BondsECDSAInvalidSignatureLength)
	if err := bonds.abi.UnpackIntoInterface(out, "ECDSAInvalidSignatureLength", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// BondsECDSAInvalidSignatureS represents a ECDSAInvalidSignatureS error raised by the Bonds contract.
type BondsECDSAInvalidSignatureS struct {
	S [32]byte
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error ECDSAInvalidSignatureS(bytes32 s)
func BondsECDSAInvalidSignatureSErrorID() common.Hash {
	return common.HexToHash("0xd78bce0cccb935155ed6428d1c13e50b7f3550fd2b66b9fe266006fea4a5e1eb")
}

// UnpackECDSAInvalidSignatureSError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error ECDSAInvalidSignatureS(bytes32 s)
func (bonds *Bonds) UnpackECDSAInvalidSignatureSError(raw []byte) (*BondsECDSAInvalidSignatureS, error) {
	out := new(BondsECDSAInvalidSignatureS)
	if err := bonds.abi.UnpackIntoInterface(out, "ECDSAInvalidSignatureS", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// BondsERC1967InvalidImplementation represents a ERC1967InvalidImplementation error raised by the Bonds contract.
type BondsERC1967InvalidImplementation struct {
	Implementation common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error ERC1967InvalidImplementation(address implementation)
func BondsERC1967InvalidImplementationErrorID() common.Hash {
	return common.HexToHash("0x4c9c8ce3ceb3130f17f7cdba48d89b5b0129f266a8bac114e6e315a41879b617")
}

// UnpackERC1967InvalidImplementationError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error ERC1967InvalidImplementation(address implementation)
func (bonds *Bonds) UnpackERC1967InvalidImplementationError(raw []byte) (*BondsERC1967InvalidImplementation, error) {
	out := new(BondsERC1967InvalidImplementation)
	if err := bonds.abi.UnpackIntoInterface(out, "ERC1967InvalidImplementation", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// BondsERC1967NonPayable represents a ERC1967NonPayable error raised by the Bonds contract.
type BondsERC1967NonPayable struct {
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error ERC1967NonPayable()
func BondsERC1967NonPayableErrorID() common.Hash {
	return common.HexToHash("0xb398979fa84f543c8e222f17890372c487baf85e062276c127fef521eea7224b")
}

// UnpackERC1967NonPayableError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error ERC1967NonPayable()
func (bonds *Bonds) UnpackERC1967NonPayableError(raw []byte) (*BondsERC1967NonPayable, error) {
	out := new(BondsERC1967NonPayable)
	if err := bonds.abi.UnpackIntoInterface(out, "ERC1967NonPayable", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// BondsEnforcedPause represents a EnforcedPause error raised by the Bonds contract.
type BondsEnforcedPause struct {
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error EnforcedPause()
func BondsEnforcedPauseErrorID() common.Hash {
	return common.HexToHash("0xd93c0665d6c96d04a8f174024fc4ddd66c250604aff22bbec808de86dd3637e3")
}

// UnpackEnforcedPauseError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error EnforcedPause()
func (bonds *Bonds) UnpackEnforcedPauseError(raw []byte) (*BondsEnforcedPause, error) {
	out := new(BondsEnforcedPause)
	if err := bonds.abi.UnpackIntoInterface(out, "EnforcedPause", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// BondsExpectedPause represents a ExpectedPause error raised by the Bonds contract.
type BondsExpectedPause struct {
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error ExpectedPause()
func BondsExpectedPauseErrorID() common.Hash {
	return common.HexToHash("0x8dfc202bcfe9a735b559bee70674422512bc5c30f687046ae8778315fb81da44")
}

// UnpackExpectedPauseError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error ExpectedPause()
func (bonds *Bonds) UnpackExpectedPauseError(raw []byte) (*BondsExpectedPause, error) {
	out := new(BondsExpectedPause)
	if err := bonds.abi.UnpackIntoInterface(out, "ExpectedPause", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// BondsFailedCall represents a FailedCall error raised by the Bonds contract.
type BondsFailedCall struct {
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error FailedCall()
func BondsFailedCallErrorID() common.Hash {
	return common.HexToHash("0xd6bda27508c0fb6d8a39b4b122878dab26f731a7d4e4abe711dd3731899052a4")
}

// UnpackFailedCallError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error FailedCall()
func (bonds *Bonds) UnpackFailedCallError(raw []byte) (*BondsFailedCall, error) {
	out := new(BondsFailedCall)
	if err := bonds.abi.UnpackIntoInterface(out, "FailedCall", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// BondsInvalidInitialization represents a InvalidInitialization error raised by the Bonds contract.
type BondsInvalidInitialization struct {
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error InvalidInitialization()
func BondsInvalidInitializationErrorID() common.Hash {
	return common.HexToHash("0xf92ee8a957075833165f68c320933b1a1294aafc84ee6e0dd3fb178008f9aaf5")
}

// UnpackInvalidInitializationError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error InvalidInitialization()
func (bonds *Bonds) UnpackInvalidInitializationError(raw []byte) (*BondsInvalidInitialization, error) {
	out := new(BondsInvalidInitialization)
	if err := bonds.abi.UnpackIntoInterface(out, "InvalidInitialization", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// BondsNotInitializing represents a NotInitializing error raised by the Bonds contract.
type BondsNotInitializing struct {
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error NotInitializing()
func BondsNotInitializingErrorID() common.Hash {
	return common.HexToHash("0xd7e6bcf8597daa127dc9f0048d2f08d5ef140a2cb659feabd700beff1f7a8302")
}

// UnpackNotInitializingError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error NotInitializing()
func (bonds *Bonds) UnpackNotInitializingError(raw []byte) (*BondsNotInitializing, error) {
	out := new(BondsNotInitializing)
	if err := bonds.abi.UnpackIntoInterface(out, "NotInitializing", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// BondsSafeERC20FailedOperation represents a SafeERC20FailedOperation error raised by the Bonds contract.
type BondsSafeERC20FailedOperation struct {
	Token common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error SafeERC20FailedOperation(address token)
func BondsSafeERC20FailedOperationErrorID() common.Hash {
	return common.HexToHash("0x5274afe73c98b4749fc91ffae6b7b574e7842cb2144a159e9377a5f20b32edf9")
}

// UnpackSafeERC20FailedOperationError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error SafeERC20FailedOperation(address token)
func (bonds *Bonds) UnpackSafeERC20FailedOperationError(raw []byte) (*BondsSafeERC20FailedOperation, error) {
	out := new(BondsSafeERC20FailedOperation)
	if err := bonds.abi.UnpackIntoInterface(out, "SafeERC20FailedOperation", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// BondsUUPSUnauthorizedCallContext represents a UUPSUnauthorizedCallContext error raised by the Bonds contract.
type BondsUUPSUnauthorizedCallContext struct {
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error UUPSUnauthorizedCallContext()
func BondsUUPSUnauthorizedCallContextErrorID() common.Hash {
	return common.HexToHash("0xe07c8dba242a06571ac65fe4bbe20522c9fb111cb33599b799ff8039c1ed18f4")
}

// UnpackUUPSUnauthorizedCallContextError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error UUPSUnauthorizedCallContext()
func (bonds *Bonds) UnpackUUPSUnauthorizedCallContextError(raw []byte) (*BondsUUPSUnauthorizedCallContext, error) {
	out := new(BondsUUPSUnauthorizedCallContext)
	if err := bonds.abi.UnpackIntoInterface(out, "UUPSUnauthorizedCallContext", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// BondsUUPSUnsupportedProxiableUUID represents a UUPSUnsupportedProxiableUUID error raised by the Bonds contract.
type BondsUUPSUnsupportedProxiableUUID struct {
	Slot [32]byte
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error UUPSUnsupportedProxiableUUID(bytes32 slot)
func BondsUUPSUnsupportedProxiableUUIDErrorID() common.Hash {
	return common.HexToHash("0xaa1d49a4c084bfa9aeeee2a0be65267a7f19ba7e1476b114dac513d2c14cb563")
}

// UnpackUUPSUnsupportedProxiableUUIDError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error UUPSUnsupportedProxiableUUID(bytes32 slot)
func (bonds *Bonds) UnpackUUPSUnsupportedProxiableUUIDError(raw []byte) (*BondsUUPSUnsupportedProxiableUUID, error) {
	out := new(BondsUUPSUnsupportedProxiableUUID)
	if err := bonds.abi.UnpackIntoInterface(out, "UUPSUnsupportedProxiableUUID", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// ERC1967ProxyMetaData contains all meta data concerning the ERC1967Proxy contract.
var ERC1967ProxyMetaData = bind.MetaData{
	ABI: "[{\"inputs\":[{\"internalType\":\"address\",\"name\":\"implementation\",\"type\":\"address\"},{\"internalType\":\"bytes\",\"name\":\"_data\",\"type\":\"bytes\"}],\"stateMutability\":\"payable\",\"type\":\"constructor\"},{\"stateMutability\":\"payable\",\"type\":\"fallback\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":true,\"internalType\":\"address\",\"name\":\"implementation\",\"type\":\"address\"}],\"name\":\"Upgraded\",\"type\":\"event\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"target\",\"type\":\"address\"}],\"name\":\"AddressEmptyCode\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"implementation\",\"type\":\"address\"}],\"name\":\"ERC1967InvalidImplementation\",\"type\":\"error\"},{\"inputs\":[],\"name\":\"ERC1967NonPayable\",\"type\":\"error\"},{\"inputs\":[],\"name\":\"ERC1967ProxyUninitialized\",\"type\":\"error\"},{\"inputs\":[],\"name\":\"FailedCall\",\"type\":\"error\"}]",
	ID:  "740cf149c9b5cf2973fa460829dc6f3d37",
}

// ERC1967Proxy is an auto generated Go binding around an Ethereum contract.
type ERC1967Proxy struct {
	abi abi.ABI
}

// GetABI returns the ABI associated with this contract binding.
func (c *ERC1967Proxy) GetABI() abi.ABI {
	return c.abi
}

// NewERC1967Proxy creates a new instance of ERC1967Proxy.
func NewERC1967Proxy() *ERC1967Proxy {
	parsed, err := ERC1967ProxyMetaData.ParseABI()
	if err != nil {
		panic(errors.New("invalid ABI: " + err.Error()))
	}
	return &ERC1967Proxy{abi: *parsed}
}

// Instance creates a wrapper for a deployed contract instance at the given address.
// Use this to create the instance object passed to abigen v2 library functions Call, Transact, etc.
func (c *ERC1967Proxy) Instance(backend bind.ContractBackend, addr common.Address) *bind.BoundContract {
	return bind.NewBoundContract(addr, c.abi, backend, backend, backend)
}

// PackConstructor is the Go binding used to pack the parameters required for
// contract deployment.
//
// Solidity: constructor(address implementation, bytes _data) payable returns()
func (eRC1967Proxy *ERC1967Proxy) PackConstructor(implementation common.Address, _data []byte) []byte {
	enc, err := eRC1967Proxy.abi.Pack("", implementation, _data)
	if err != nil {
		panic(err)
	}
	return enc
}

// ERC1967ProxyUpgraded represents a Upgraded event raised by the ERC1967Proxy contract.
type ERC1967ProxyUpgraded struct {
	Implementation common.Address
	Raw            *types.Log // Blockchain specific contextual infos
}

const ERC1967ProxyUpgradedEventName = "Upgraded"

// ContractEventName returns the user-defined event name.
func (ERC1967ProxyUpgraded) ContractEventName() string {
	return ERC1967ProxyUpgradedEventName
}

// UnpackUpgradedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event Upgraded(address indexed implementation)
func (eRC1967Proxy *ERC1967Proxy) UnpackUpgradedEvent(log *types.Log) (*ERC1967ProxyUpgraded, error) {
	event := "Upgraded"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != eRC1967Proxy.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(ERC1967ProxyUpgraded)
	if len(log.Data) > 0 {
		if err := eRC1967Proxy.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range eRC1967Proxy.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// UnpackError attempts to decode the provided error data using user-defined
// error definitions.
func (eRC1967Proxy *ERC1967Proxy) UnpackError(raw []byte) (any, error) {
	if bytes.Equal(raw[:4], eRC1967Proxy.abi.Errors["AddressEmptyCode"].ID.Bytes()[:4]) {
		return eRC1967Proxy.UnpackAddressEmptyCodeError(raw[4:])
	}
	if bytes.Equal(raw[:4], eRC1967Proxy.abi.Errors["ERC1967InvalidImplementation"].ID.Bytes()[:4]) {
		return eRC1967Proxy.UnpackERC1967InvalidImplementationError(raw[4:])
	}
	if bytes.Equal(raw[:4], eRC1967Proxy.abi.Errors["ERC1967NonPayable"].ID.Bytes()[:4]) {
		return eRC1967Proxy.UnpackERC1967NonPayableError(raw[4:])
	}
	if bytes.Equal(raw[:4], eRC1967Proxy.abi.Errors["ERC1967ProxyUninitialized"].ID.Bytes()[:4]) {
		return eRC1967Proxy.UnpackERC1967ProxyUninitializedError(raw[4:])
	}
	if bytes.Equal(raw[:4], eRC1967Proxy.abi.Errors["FailedCall"].ID.Bytes()[:4]) {
		return eRC1967Proxy.UnpackFailedCallError(raw[4:])
	}
	return nil, errors.New("Unknown error")
}

// ERC1967ProxyAddressEmptyCode represents a AddressEmptyCode error raised by the ERC1967Proxy contract.
type ERC1967ProxyAddressEmptyCode struct {
	Target common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error AddressEmptyCode(address target)
func ERC1967ProxyAddressEmptyCodeErrorID() common.Hash {
	return common.HexToHash("0x9996b315c842ff135b8fc4a08ad5df1c344efbc03d2687aecc0678050d2aac89")
}

// UnpackAddressEmptyCodeError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error AddressEmptyCode(address target)
func (eRC1967Proxy *ERC1967Proxy) UnpackAddressEmptyCodeError(raw []byte) (*ERC1967ProxyAddressEmptyCode, error) {
	out := new(ERC1967ProxyAddressEmptyCode)
	if err := eRC1967Proxy.abi.UnpackIntoInterface(out, "AddressEmptyCode", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// ERC1967ProxyERC1967InvalidImplementation represents a ERC1967InvalidImplementation error raised by the ERC1967Proxy contract.
type ERC1967ProxyERC1967InvalidImplementation struct {
	Implementation common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error ERC1967InvalidImplementation(address implementation)
func ERC1967ProxyERC1967InvalidImplementationErrorID() common.Hash {
	return common.HexToHash("0x4c9c8ce3ceb3130f17f7cdba48d89b5b0129f266a8bac114e6e315a41879b617")
}

// UnpackERC1967InvalidImplementationError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error ERC1967InvalidImplementation(address implementation)
func (eRC1967Proxy *ERC1967Proxy) UnpackERC1967InvalidImplementationError(raw []byte) (*ERC1967ProxyERC1967InvalidImplementation, error) {
	out := new(ERC1967ProxyERC1967InvalidImplementation)
	if err := eRC1967Proxy.abi.UnpackIntoInterface(out, "ERC1967InvalidImplementation", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// ERC1967ProxyERC1967NonPayable represents a ERC1967NonPayable error raised by the ERC1967Proxy contract.
type ERC1967ProxyERC1967NonPayable struct {
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error ERC1967NonPayable()
func ERC1967ProxyERC1967NonPayableErrorID() common.Hash {
	return common.HexToHash("0xb398979fa84f543c8e222f17890372c487baf85e062276c127fef521eea7224b")
}

// UnpackERC1967NonPayableError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error ERC1967NonPayable()
func (eRC1967Proxy *ERC1967Proxy) UnpackERC1967NonPayableError(raw []byte) (*ERC1967ProxyERC1967NonPayable, error) {
	out := new(ERC1967ProxyERC1967NonPayable)
	if err := eRC1967Proxy.abi.UnpackIntoInterface(out, "ERC1967NonPayable", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// ERC1967ProxyERC1967ProxyUninitialized represents a ERC1967ProxyUninitialized error raised by the ERC1967Proxy contract.
type ERC1967ProxyERC1967ProxyUninitialized struct {
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error ERC1967ProxyUninitialized()
func ERC1967ProxyERC1967ProxyUninitializedErrorID() common.Hash {
	return common.HexToHash("0xc28a273c3fe16468cad2234091c09b146f46a93b2ad4069739c7beddfa5b3529")
}

// UnpackERC1967ProxyUninitializedError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error ERC1967ProxyUninitialized()
func (eRC1967Proxy *ERC1967Proxy) UnpackERC1967ProxyUninitializedError(raw []byte) (*ERC1967ProxyERC1967ProxyUninitialized, error) {
	out := new(ERC1967ProxyERC1967ProxyUninitialized)
	if err := eRC1967Proxy.abi.UnpackIntoInterface(out, "ERC1967ProxyUninitialized", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// ERC1967ProxyFailedCall represents a FailedCall error raised by the ERC1967Proxy contract.
type ERC1967ProxyFailedCall struct {
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error FailedCall()
func ERC1967ProxyFailedCallErrorID() common.Hash {
	return common.HexToHash("0xd6bda27508c0fb6d8a39b4b122878dab26f731a7d4e4abe711dd3731899052a4")
}

// UnpackFailedCallError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error FailedCall()
func (eRC1967Proxy *ERC1967Proxy) UnpackFailedCallError(raw []byte) (*ERC1967ProxyFailedCall, error) {
	out := new(ERC1967ProxyFailedCall)
	if err := eRC1967Proxy.abi.UnpackIntoInterface(out, "FailedCall", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// GovernanceMetaData contains all meta data concerning the Governance contract.
var GovernanceMetaData = bind.MetaData{
	ABI: "[{\"inputs\":[{\"internalType\":\"contractIVotes\",\"name\":\"veHudl\",\"type\":\"address\"},{\"internalType\":\"contractTimelockController\",\"name\":\"timelock_\",\"type\":\"address\"},{\"components\":[{\"internalType\":\"uint48\",\"name\":\"votingDelay\",\"type\":\"uint48\"},{\"internalType\":\"uint32\",\"name\":\"votingPeriod\",\"type\":\"uint32\"},{\"internalType\":\"uint256\",\"name\":\"proposalThreshold\",\"type\":\"uint256\"},{\"internalType\":\"uint256\",\"name\":\"quorumPercent\",\"type\":\"uint256\"},{\"internalType\":\"uint256\",\"name\":\"leastQuorum\",\"type\":\"uint256\"}],\"internalType\":\"structGovernance.Rules\",\"name\":\"rules\",\"type\":\"tuple\"}],\"stateMutability\":\"nonpayable\",\"type\":\"constructor\"},{\"stateMutability\":\"payable\",\"type\":\"receive\"},{\"inputs\":[],\"name\":\"BALLOT_TYPEHASH\",\"outputs\":[{\"internalType\":\"bytes32\",\"name\":\"\",\"type\":\"bytes32\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[],\"name\":\"CLOCK_MODE\",\"outputs\":[{\"internalType\":\"string\",\"name\":\"\",\"type\":\"string\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[],\"name\":\"COUNTING_MODE\",\"outputs\":[{\"internalType\":\"string\",\"name\":\"\",\"type\":\"string\"}],\"stateMutability\":\"pure\",\"type\":\"function\"},{\"inputs\":[],\"name\":\"EXTENDED_BALLOT_TYPEHASH\",\"outputs\":[{\"internalType\":\"bytes32\",\"name\":\"\",\"type\":\"bytes32\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address[]\",\"name\":\"targets\",\"type\":\"address[]\"},{\"internalType\":\"uint256[]\",\"name\":\"values\",\"type\":\"uint256[]\"},{\"internalType\":\"bytes[]\",\"name\":\"calldatas\",\"type\":\"bytes[]\"},{\"internalType\":\"bytes32\",\"name\":\"descriptionHash\",\"type\":\"bytes32\"}],\"name\":\"cancel\",\"outputs\":[{\"internalType\":\"uint256\",\"name\":\"\",\"type\":\"uint256\"}],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"uint256\",\"name\":\"proposalId\",\"type\":\"uint256\"},{\"internalType\":\"uint8\",\"name\":\"support\",\"type\":\"uint8\"}],\"name\":\"castVote\",\"outputs\":[{\"internalType\":\"uint256\",\"name\":\"\",\"type\":\"uint256\"}],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"uint256\",\"name\":\"proposalId\",\"type\":\"uint256\"},{\"internalType\":\"uint8\",\"name\":\"support\",\"type\":\"uint8\"},{\"internalType\":\"address\",\"name\":\"voter\",\"type\":\"address\"},{\"internalType\":\"bytes\",\"name\":\"signature\",\"type\":\"bytes\"}],\"name\":\"castVoteBySig\",\"outputs\":[{\"internalType\":\"uint256\",\"name\":\"\",\"type\":\"uint256\"}],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"uint256\",\"name\":\"proposalId\",\"type\":\"uint256\"},{\"internalType\":\"uint8\",\"name\":\"support\",\"type\":\"uint8\"},{\"internalType\":\"string\",\"name\":\"reason\",\"type\":\"string\"}],\"name\":\"castVoteWithReason\",\"outputs\":[{\"internalType\":\"uint256\",\"name\":\"\",\"type\":\"uint256\"}],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"uint256\",\"name\":\"proposalId\",\"type\":\"uint256\"},{\"internalType\":\"uint8\",\"name\":\"support\",\"type\":\"uint8\"},{\"internalType\":\"string\",\"name\":\"reason\",\"type\":\"string\"},{\"internalType\":\"bytes\",\"name\":\"params\",\"type\":\"bytes\"}],\"name\":\"castVoteWithReasonAndParams\",\"outputs\":[{\"internalType\":\"uint256\",\"name\":\"\",\"type\":\"uint256\"}],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"uint256\",\"name\":\"proposalId\",\"type\":\"uint256\"},{\"internalType\":\"uint8\",\"name\":\"support\",\"type\":\"uint8\"},{\"internalType\":\"address\",\"name\":\"voter\",\"type\":\"address\"},{\"internalType\":\"string\",\"name\":\"reason\",\"type\":\"string\"},{\"internalType\":\"bytes\",\"name\":\"params\",\"type\":\"bytes\"},{\"internalType\":\"bytes\",\"name\":\"signature\",\"type\":\"bytes\"}],\"name\":\"castVoteWithReasonAndParamsBySig\",\"outputs\":[{\"internalType\":\"uint256\",\"name\":\"\",\"type\":\"uint256\"}],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[],\"name\":\"clock\",\"outputs\":[{\"internalType\":\"uint48\",\"name\":\"\",\"type\":\"uint48\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[],\"name\":\"eip712Domain\",\"outputs\":[{\"internalType\":\"bytes1\",\"name\":\"fields\",\"type\":\"bytes1\"},{\"internalType\":\"string\",\"name\":\"name\",\"type\":\"string\"},{\"internalType\":\"string\",\"name\":\"version\",\"type\":\"string\"},{\"internalType\":\"uint256\",\"name\":\"chainId\",\"type\":\"uint256\"},{\"internalType\":\"address\",\"name\":\"verifyingContract\",\"type\":\"address\"},{\"internalType\":\"bytes32\",\"name\":\"salt\",\"type\":\"bytes32\"},{\"internalType\":\"uint256[]\",\"name\":\"extensions\",\"type\":\"uint256[]\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address[]\",\"name\":\"targets\",\"type\":\"address[]\"},{\"internalType\":\"uint256[]\",\"name\":\"values\",\"type\":\"uint256[]\"},{\"internalType\":\"bytes[]\",\"name\":\"calldatas\",\"type\":\"bytes[]\"},{\"internalType\":\"bytes32\",\"name\":\"descriptionHash\",\"type\":\"bytes32\"}],\"name\":\"execute\",\"outputs\":[{\"internalType\":\"uint256\",\"name\":\"\",\"type\":\"uint256\"}],\"stateMutability\":\"payable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address[]\",\"name\":\"targets\",\"type\":\"address[]\"},{\"internalType\":\"uint256[]\",\"name\":\"values\",\"type\":\"uint256[]\"},{\"internalType\":\"bytes[]\",\"name\":\"calldatas\",\"type\":\"bytes[]\"},{\"internalType\":\"bytes32\",\"name\":\"descriptionHash\",\"type\":\"bytes32\"}],\"name\":\"getProposalId\",\"outputs\":[{\"internalType\":\"uint256\",\"name\":\"\",\"type\":\"uint256\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"account\",\"type\":\"address\"},{\"internalType\":\"uint256\",\"name\":\"timepoint\",\"type\":\"uint256\"}],\"name\":\"getVotes\",\"outputs\":[{\"internalType\":\"uint256\",\"name\":\"\",\"type\":\"uint256\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"account\",\"type\":\"address\"},{\"internalType\":\"uint256\",\"name\":\"timepoint\",\"type\":\"uint256\"},{\"internalType\":\"bytes\",\"name\":\"params\",\"type\":\"bytes\"}],\"name\":\"getVotesWithParams\",\"outputs\":[{\"internalType\":\"uint256\",\"name\":\"\",\"type\":\"uint256\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"uint256\",\"name\":\"proposalId\",\"type\":\"uint256\"},{\"internalType\":\"address\",\"name\":\"account\",\"type\":\"address\"}],\"name\":\"hasVoted\",\"outputs\":[{\"internalType\":\"bool\",\"name\":\"\",\"type\":\"bool\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address[]\",\"name\":\"targets\",\"type\":\"address[]\"},{\"internalType\":\"uint256[]\",\"name\":\"values\",\"type\":\"uint256[]\"},{\"internalType\":\"bytes[]\",\"name\":\"calldatas\",\"type\":\"bytes[]\"},{\"internalType\":\"bytes32\",\"name\":\"descriptionHash\",\"type\":\"bytes32\"}],\"name\":\"hashProposal\",\"outputs\":[{\"internalType\":\"uint256\",\"name\":\"\",\"type\":\"uint256\"}],\"stateMutability\":\"pure\",\"type\":\"function\"},{\"inputs\":[],\"name\":\"leastQuorum\",\"outputs\":[{\"internalType\":\"uint256\",\"name\":\"\",\"type\":\"uint256\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[],\"name\":\"name\",\"outputs\":[{\"internalType\":\"string\",\"name\":\"\",\"type\":\"string\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"owner\",\"type\":\"address\"}],\"name\":\"nonces\",\"outputs\":[{\"internalType\":\"uint256\",\"name\":\"\",\"type\":\"uint256\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"\",\"type\":\"address\"},{\"internalType\":\"address\",\"name\":\"\",\"type\":\"address\"},{\"internalType\":\"uint256[]\",\"name\":\"\",\"type\":\"uint256[]\"},{\"internalType\":\"uint256[]\",\"name\":\"\",\"type\":\"uint256[]\"},{\"internalType\":\"bytes\",\"name\":\"\",\"type\":\"bytes\"}],\"name\":\"onERC1155BatchReceived\",\"outputs\":[{\"internalType\":\"bytes4\",\"name\":\"\",\"type\":\"bytes4\"}],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"\",\"type\":\"address\"},{\"internalType\":\"address\",\"name\":\"\",\"type\":\"address\"},{\"internalType\":\"uint256\",\"name\":\"\",\"type\":\"uint256\"},{\"internalType\":\"uint256\",\"name\":\"\",\"type\":\"uint256\"},{\"internalType\":\"bytes\",\"name\":\"\",\"type\":\"bytes\"}],\"name\":\"onERC1155Received\",\"outputs\":[{\"internalType\":\"bytes4\",\"name\":\"\",\"type\":\"bytes4\"}],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"\",\"type\":\"address\"},{\"internalType\":\"address\",\"name\":\"\",\"type\":\"address\"},{\"internalType\":\"uint256\",\"name\":\"\",\"type\":\"uint256\"},{\"internalType\":\"bytes\",\"name\":\"\",\"type\":\"bytes\"}],\"name\":\"onERC721Received\",\"outputs\":[{\"internalType\":\"bytes4\",\"name\":\"\",\"type\":\"bytes4\"}],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"uint256\",\"name\":\"proposalId\",\"type\":\"uint256\"}],\"name\":\"proposalDeadline\",\"outputs\":[{\"internalType\":\"uint256\",\"name\":\"\",\"type\":\"uint256\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"uint256\",\"name\":\"proposalId\",\"type\":\"uint256\"}],\"name\":\"proposalEta\",\"outputs\":[{\"internalType\":\"uint256\",\"name\":\"\",\"type\":\"uint256\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"uint256\",\"name\":\"id\",\"type\":\"uint256\"}],\"name\":\"proposalNeedsQueuing\",\"outputs\":[{\"internalType\":\"bool\",\"name\":\"\",\"type\":\"bool\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"uint256\",\"name\":\"proposalId\",\"type\":\"uint256\"}],\"name\":\"proposalProposer\",\"outputs\":[{\"internalType\":\"address\",\"name\":\"\",\"type\":\"address\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"uint256\",\"name\":\"proposalId\",\"type\":\"uint256\"}],\"name\":\"proposalSnapshot\",\"outputs\":[{\"internalType\":\"uint256\",\"name\":\"\",\"type\":\"uint256\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[],\"name\":\"proposalThreshold\",\"outputs\":[{\"internalType\":\"uint256\",\"name\":\"\",\"type\":\"uint256\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"uint256\",\"name\":\"proposalId\",\"type\":\"uint256\"}],\"name\":\"proposalVotes\",\"outputs\":[{\"internalType\":\"uint256\",\"name\":\"againstVotes\",\"type\":\"uint256\"},{\"internalType\":\"uint256\",\"name\":\"forVotes\",\"type\":\"uint256\"},{\"internalType\":\"uint256\",\"name\":\"abstainVotes\",\"type\":\"uint256\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address[]\",\"name\":\"targets\",\"type\":\"address[]\"},{\"internalType\":\"uint256[]\",\"name\":\"values\",\"type\":\"uint256[]\"},{\"internalType\":\"bytes[]\",\"name\":\"calldatas\",\"type\":\"bytes[]\"},{\"internalType\":\"string\",\"name\":\"description\",\"type\":\"string\"}],\"name\":\"propose\",\"outputs\":[{\"internalType\":\"uint256\",\"name\":\"\",\"type\":\"uint256\"}],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address[]\",\"name\":\"targets\",\"type\":\"address[]\"},{\"internalType\":\"uint256[]\",\"name\":\"values\",\"type\":\"uint256[]\"},{\"internalType\":\"bytes[]\",\"name\":\"calldatas\",\"type\":\"bytes[]\"},{\"internalType\":\"bytes32\",\"name\":\"descriptionHash\",\"type\":\"bytes32\"}],\"name\":\"queue\",\"outputs\":[{\"internalType\":\"uint256\",\"name\":\"\",\"type\":\"uint256\"}],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"uint256\",\"name\":\"timepoint\",\"type\":\"uint256\"}],\"name\":\"quorum\",\"outputs\":[{\"internalType\":\"uint256\",\"name\":\"\",\"type\":\"uint256\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[],\"name\":\"quorumDenominator\",\"outputs\":[{\"internalType\":\"uint256\",\"name\":\"\",\"type\":\"uint256\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"uint256\",\"name\":\"timepoint\",\"type\":\"uint256\"}],\"name\":\"quorumNumerator\",\"outputs\":[{\"internalType\":\"uint256\",\"name\":\"\",\"type\":\"uint256\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[],\"name\":\"quorumNumerator\",\"outputs\":[{\"internalType\":\"uint256\",\"name\":\"\",\"type\":\"uint256\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"target\",\"type\":\"address\"},{\"internalType\":\"uint256\",\"name\":\"value\",\"type\":\"uint256\"},{\"internalType\":\"bytes\",\"name\":\"data\",\"type\":\"bytes\"}],\"name\":\"relay\",\"outputs\":[],\"stateMutability\":\"payable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"uint256\",\"name\":\"newProposalThreshold\",\"type\":\"uint256\"}],\"name\":\"setProposalThreshold\",\"outputs\":[],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"uint48\",\"name\":\"newVotingDelay\",\"type\":\"uint48\"}],\"name\":\"setVotingDelay\",\"outputs\":[],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"uint32\",\"name\":\"newVotingPeriod\",\"type\":\"uint32\"}],\"name\":\"setVotingPeriod\",\"outputs\":[],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"uint256\",\"name\":\"id\",\"type\":\"uint256\"}],\"name\":\"state\",\"outputs\":[{\"internalType\":\"enumIGovernor.ProposalState\",\"name\":\"\",\"type\":\"uint8\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"bytes4\",\"name\":\"interfaceId\",\"type\":\"bytes4\"}],\"name\":\"supportsInterface\",\"outputs\":[{\"internalType\":\"bool\",\"name\":\"\",\"type\":\"bool\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[],\"name\":\"timelock\",\"outputs\":[{\"internalType\":\"address\",\"name\":\"\",\"type\":\"address\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[],\"name\":\"token\",\"outputs\":[{\"internalType\":\"contractIERC5805\",\"name\":\"\",\"type\":\"address\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"uint256\",\"name\":\"newQuorumNumerator\",\"type\":\"uint256\"}],\"name\":\"updateQuorumNumerator\",\"outputs\":[],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"contractTimelockController\",\"name\":\"newTimelock\",\"type\":\"address\"}],\"name\":\"updateTimelock\",\"outputs\":[],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[],\"name\":\"version\",\"outputs\":[{\"internalType\":\"string\",\"name\":\"\",\"type\":\"string\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[],\"name\":\"votingDelay\",\"outputs\":[{\"internalType\":\"uint256\",\"name\":\"\",\"type\":\"uint256\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[],\"name\":\"votingPeriod\",\"outputs\":[{\"internalType\":\"uint256\",\"name\":\"\",\"type\":\"uint256\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"anonymous\":false,\"inputs\":[],\"name\":\"EIP712DomainChanged\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":false,\"internalType\":\"uint256\",\"name\":\"proposalId\",\"type\":\"uint256\"}],\"name\":\"ProposalCanceled\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":false,\"internalType\":\"uint256\",\"name\":\"proposalId\",\"type\":\"uint256\"},{\"indexed\":false,\"internalType\":\"address\",\"name\":\"proposer\",\"type\":\"address\"},{\"indexed\":false,\"internalType\":\"address[]\",\"name\":\"targets\",\"type\":\"address[]\"},{\"indexed\":false,\"internalType\":\"uint256[]\",\"name\":\"values\",\"type\":\"uint256[]\"},{\"indexed\":false,\"internalType\":\"string[]\",\"name\":\"signatures\",\"type\":\"string[]\"},{\"indexed\":false,\"internalType\":\"bytes[]\",\"name\":\"calldatas\",\"type\":\"bytes[]\"},{\"indexed\":false,\"internalType\":\"uint256\",\"name\":\"voteStart\",\"type\":\"uint256\"},{\"indexed\":false,\"internalType\":\"uint256\",\"name\":\"voteEnd\",\"type\":\"uint256\"},{\"indexed\":false,\"internalType\":\"string\",\"name\":\"description\",\"type\":\"string\"}],\"name\":\"ProposalCreated\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":false,\"internalType\":\"uint256\",\"name\":\"proposalId\",\"type\":\"uint256\"}],\"name\":\"ProposalExecuted\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":false,\"internalType\":\"uint256\",\"name\":\"proposalId\",\"type\":\"uint256\"},{\"indexed\":false,\"internalType\":\"uint256\",\"name\":\"etaSeconds\",\"type\":\"uint256\"}],\"name\":\"ProposalQueued\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":false,\"internalType\":\"uint256\",\"name\":\"oldProposalThreshold\",\"type\":\"uint256\"},{\"indexed\":false,\"internalType\":\"uint256\",\"name\":\"newProposalThreshold\",\"type\":\"uint256\"}],\"name\":\"ProposalThresholdSet\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":false,\"internalType\":\"uint256\",\"name\":\"oldQuorumNumerator\",\"type\":\"uint256\"},{\"indexed\":false,\"internalType\":\"uint256\",\"name\":\"newQuorumNumerator\",\"type\":\"uint256\"}],\"name\":\"QuorumNumeratorUpdated\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":false,\"internalType\":\"address\",\"name\":\"oldTimelock\",\"type\":\"address\"},{\"indexed\":false,\"internalType\":\"address\",\"name\":\"newTimelock\",\"type\":\"address\"}],\"name\":\"TimelockChange\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":true,\"internalType\":\"address\",\"name\":\"voter\",\"type\":\"address\"},{\"indexed\":false,\"internalType\":\"uint256\",\"name\":\"proposalId\",\"type\":\"uint256\"},{\"indexed\":false,\"internalType\":\"uint8\",\"name\":\"support\",\"type\":\"uint8\"},{\"indexed\":false,\"internalType\":\"uint256\",\"name\":\"weight\",\"type\":\"uint256\"},{\"indexed\":false,\"internalType\":\"string\",\"name\":\"reason\",\"type\":\"string\"}],\"name\":\"VoteCast\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":true,\"internalType\":\"address\",\"name\":\"voter\",\"type\":\"address\"},{\"indexed\":false,\"internalType\":\"uint256\",\"name\":\"proposalId\",\"type\":\"uint256\"},{\"indexed\":false,\"internalType\":\"uint8\",\"name\":\"support\",\"type\":\"uint8\"},{\"indexed\":false,\"internalType\":\"uint256\",\"name\":\"weight\",\"type\":\"uint256\"},{\"indexed\":false,\"internalType\":\"string\",\"name\":\"reason\",\"type\":\"string\"},{\"indexed\":false,\"internalType\":\"bytes\",\"name\":\"params\",\"type\":\"bytes\"}],\"name\":\"VoteCastWithParams\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":false,\"internalType\":\"uint256\",\"name\":\"oldVotingDelay\",\"type\":\"uint256\"},{\"indexed\":false,\"internalType\":\"uint256\",\"name\":\"newVotingDelay\",\"type\":\"uint256\"}],\"name\":\"VotingDelaySet\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":false,\"internalType\":\"uint256\",\"name\":\"oldVotingPeriod\",\"type\":\"uint256\"},{\"indexed\":false,\"internalType\":\"uint256\",\"name\":\"newVotingPeriod\",\"type\":\"uint256\"}],\"name\":\"VotingPeriodSet\",\"type\":\"event\"},{\"inputs\":[],\"name\":\"CheckpointUnorderedInsertion\",\"type\":\"error\"},{\"inputs\":[],\"name\":\"ERC6372InconsistentClock\",\"type\":\"error\"},{\"inputs\":[],\"name\":\"FailedCall\",\"type\":\"error\"},{\"inputs\":[],\"name\":\"Governance_NoThreshold\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"voter\",\"type\":\"address\"}],\"name\":\"GovernorAlreadyCastVote\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"uint256\",\"name\":\"proposalId\",\"type\":\"uint256\"}],\"name\":\"GovernorAlreadyQueuedProposal\",\"type\":\"error\"},{\"inputs\":[],\"name\":\"GovernorDisabledDeposit\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"proposer\",\"type\":\"address\"},{\"internalType\":\"uint256\",\"name\":\"votes\",\"type\":\"uint256\"},{\"internalType\":\"uint256\",\"name\":\"threshold\",\"type\":\"uint256\"}],\"name\":\"GovernorInsufficientProposerVotes\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"uint256\",\"name\":\"targets\",\"type\":\"uint256\"},{\"internalType\":\"uint256\",\"name\":\"calldatas\",\"type\":\"uint256\"},{\"internalType\":\"uint256\",\"name\":\"values\",\"type\":\"uint256\"}],\"name\":\"GovernorInvalidProposalLength\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"uint256\",\"name\":\"quorumNumerator\",\"type\":\"uint256\"},{\"internalType\":\"uint256\",\"name\":\"quorumDenominator\",\"type\":\"uint256\"}],\"name\":\"GovernorInvalidQuorumFraction\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"voter\",\"type\":\"address\"}],\"name\":\"GovernorInvalidSignature\",\"type\":\"error\"},{\"inputs\":[],\"name\":\"GovernorInvalidVoteParams\",\"type\":\"error\"},{\"inputs\":[],\"name\":\"GovernorInvalidVoteType\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"uint256\",\"name\":\"votingPeriod\",\"type\":\"uint256\"}],\"name\":\"GovernorInvalidVotingPeriod\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"uint256\",\"name\":\"proposalId\",\"type\":\"uint256\"}],\"name\":\"GovernorNonexistentProposal\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"account\",\"type\":\"address\"}],\"name\":\"GovernorOnlyExecutor\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"uint256\",\"name\":\"proposalId\",\"type\":\"uint256\"}],\"name\":\"GovernorProposalQueueingFailed\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"uint256\",\"name\":\"proposalId\",\"type\":\"uint256\"}],\"name\":\"GovernorProposalQueueingNotRequired\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"proposer\",\"type\":\"address\"}],\"name\":\"GovernorRestrictedProposer\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"uint256\",\"name\":\"proposalId\",\"type\":\"uint256\"},{\"internalType\":\"address\",\"name\":\"account\",\"type\":\"address\"}],\"name\":\"GovernorUnableToCancel\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"uint256\",\"name\":\"proposalId\",\"type\":\"uint256\"},{\"internalType\":\"enumIGovernor.ProposalState\",\"name\":\"current\",\"type\":\"uint8\"},{\"internalType\":\"bytes32\",\"name\":\"expectedStates\",\"type\":\"bytes32\"}],\"name\":\"GovernorUnexpectedProposalState\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"account\",\"type\":\"address\"},{\"internalType\":\"uint256\",\"name\":\"currentNonce\",\"type\":\"uint256\"}],\"name\":\"InvalidAccountNonce\",\"type\":\"error\"},{\"inputs\":[],\"name\":\"InvalidShortString\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"uint8\",\"name\":\"bits\",\"type\":\"uint8\"},{\"internalType\":\"uint256\",\"name\":\"value\",\"type\":\"uint256\"}],\"name\":\"SafeCastOverflowedUintDowncast\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"string\",\"name\":\"str\",\"type\":\"string\"}],\"name\":\"StringTooLong\",\"type\":\"error\"}]",
	ID:  "72debc200627bfff6e6c72efe8c7358741",
}

// Governance is an auto generated Go binding around an Ethereum contract.
type Governance struct {
	abi abi.ABI
}

// GetABI returns the ABI associated with this contract binding.
func (c *Governance) GetABI() abi.ABI {
	return c.abi
}

// NewGovernance creates a new instance of Governance.
func NewGovernance() *Governance {
	parsed, err := GovernanceMetaData.ParseABI()
	if err != nil {
		panic(errors.New("invalid ABI: " + err.Error()))
	}
	return &Governance{abi: *parsed}
}

// Instance creates a wrapper for a deployed contract instance at the given address.
// Use this to create the instance object passed to abigen v2 library functions Call, Transact, etc.
func (c *Governance) Instance(backend bind.ContractBackend, addr common.Address) *bind.BoundContract {
	return bind.NewBoundContract(addr, c.abi, backend, backend, backend)
}

// PackConstructor is the Go binding used to pack the parameters required for
// contract deployment.
//
// Solidity: constructor(address veHudl, address timelock_, (uint48,uint32,uint256,uint256,uint256) rules) returns()
func (governance *Governance) PackConstructor(veHudl common.Address, timelock_ common.Address, rules GovernanceRules) []byte {
	enc, err := governance.abi.Pack("", veHudl, timelock_, rules)
	if err != nil {
		panic(err)
	}
	return enc
}

// PackBALLOTTYPEHASH is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xdeaaa7cc.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function BALLOT_TYPEHASH() view returns(bytes32)
func (governance *Governance) PackBALLOTTYPEHASH() []byte {
	enc, err := governance.abi.Pack("BALLOT_TYPEHASH")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackBALLOTTYPEHASH is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xdeaaa7cc.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function BALLOT_TYPEHASH() view returns(bytes32)
func (governance *Governance) TryPackBALLOTTYPEHASH() ([]byte, error) {
	return governance.abi.Pack("BALLOT_TYPEHASH")
}

// UnpackBALLOTTYPEHASH is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xdeaaa7cc.
//
// Solidity: function BALLOT_TYPEHASH() view returns(bytes32)
func (governance *Governance) UnpackBALLOTTYPEHASH(data []byte) ([32]byte, error) {
	out, err := governance.abi.Unpack("BALLOT_TYPEHASH", data)
	if err != nil {
		return *new([32]byte), err
	}
	out0 := *abi.ConvertType(out[0], new([32]byte)).(*[32]byte)
	return out0, nil
}

// PackCLOCKMODE is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x4bf5d7e9.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function CLOCK_MODE() view returns(string)
func (governance *Governance) PackCLOCKMODE() []byte {
	enc, err := governance.abi.Pack("CLOCK_MODE")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackCLOCKMODE is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x4bf5d7e9.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function CLOCK_MODE() view returns(string)
func (governance *Governance) TryPackCLOCKMODE() ([]byte, error) {
	return governance.abi.Pack("CLOCK_MODE")
}

// UnpackCLOCKMODE is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x4bf5d7e9.
//
// Solidity: function CLOCK_MODE() view returns(string)
func (governance *Governance) UnpackCLOCKMODE(data []byte) (string, error) {
	out, err := governance.abi.Unpack("CLOCK_MODE", data)
	if err != nil {
		return *new(string), err
	}
	out0 := *abi.ConvertType(out[0], new(string)).(*string)
	return out0, nil
}

// PackCOUNTINGMODE is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xdd4e2ba5.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function COUNTING_MODE() pure returns(string)
func (governance *Governance) PackCOUNTINGMODE() []byte {
	enc, err := governance.abi.Pack("COUNTING_MODE")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackCOUNTINGMODE is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xdd4e2ba5.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function COUNTING_MODE() pure returns(string)
func (governance *Governance) TryPackCOUNTINGMODE() ([]byte, error) {
	return governance.abi.Pack("COUNTING_MODE")
}

// UnpackCOUNTINGMODE is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xdd4e2ba5.
//
// Solidity: function COUNTING_MODE() pure returns(string)
func (governance *Governance) UnpackCOUNTINGMODE(data []byte) (string, error) {
	out, err := governance.abi.Unpack("COUNTING_MODE", data)
	if err != nil {
		return *new(string), err
	}
	out0 := *abi.ConvertType(out[0], new(string)).(*string)
	return out0, nil
}

// PackEXTENDEDBALLOTTYPEHASH is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x2fe3e261.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function EXTENDED_BALLOT_TYPEHASH() view returns(bytes32)
func (governance *Governance) PackEXTENDEDBALLOTTYPEHASH() []byte {
	enc, err := governance.abi.Pack("EXTENDED_BALLOT_TYPEHASH")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackEXTENDEDBALLOTTYPEHASH is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x2fe3e261.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function EXTENDED_BALLOT_TYPEHASH() view returns(bytes32)
func (governance *Governance) TryPackEXTENDEDBALLOTTYPEHASH() ([]byte, error) {
	return governance.abi.Pack("EXTENDED_BALLOT_TYPEHASH")
}

// UnpackEXTENDEDBALLOTTYPEHASH is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x2fe3e261.
//
// Solidity: function EXTENDED_BALLOT_TYPEHASH() view returns(bytes32)
func (governance *Governance) UnpackEXTENDEDBALLOTTYPEHASH(data []byte) ([32]byte, error) {
	out, err := governance.abi.Unpack("EXTENDED_BALLOT_TYPEHASH", data)
	if err != nil {
		return *new([32]byte), err
	}
	out0 := *abi.ConvertType(out[0], new([32]byte)).(*[32]byte)
	return out0, nil
}

// PackCancel is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x452115d6.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function cancel(address[] targets, uint256[] values, bytes[] calldatas, bytes32 descriptionHash) returns(uint256)
func (governance *Governance) PackCancel(targets []common.Address, values []*big.Int, calldatas [][]byte, descriptionHash [32]byte) []byte {
	enc, err := governance.abi.Pack("cancel", targets, values, calldatas, descriptionHash)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackCancel is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x452115d6.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function cancel(address[] targets, uint256[] values, bytes[] calldatas, bytes32 descriptionHash) returns(uint256)
func (governance *Governance) TryPackCancel(targets []common.Address, values []*big.Int, calldatas [][]byte, descriptionHash [32]byte) ([]byte, error) {
	return governance.abi.Pack("cancel", targets, values, calldatas, descriptionHash)
}

// UnpackCancel is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x452115d6.
//
// Solidity: function cancel(address[] targets, uint256[] values, bytes[] calldatas, bytes32 descriptionHash) returns(uint256)
func (governance *Governance) UnpackCancel(data []byte) (*big.Int, error) {
	out, err := governance.abi.Unpack("cancel", data)
	if err != nil {
		return new(big.Int), err
	}
	out0 := abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	return out0, nil
}

// PackCastVote is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x56781388.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function castVote(uint256 proposalId, uint8 support) returns(uint256)
func (governance *Governance) PackCastVote(proposalId *big.Int, support uint8) []byte {
	enc, err := governance.abi.Pack("castVote", proposalId, support)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackCastVote is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x56781388.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function castVote(uint256 proposalId, uint8 support) returns(uint256)
func (governance *Governance) TryPackCastVote(proposalId *big.Int, support uint8) ([]byte, error) {
	return governance.abi.Pack("castVote", proposalId, support)
}

// UnpackCastVote is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x56781388.
//
// Solidity: function castVote(uint256 proposalId, uint8 support) returns(uint256)
func (governance *Governance) UnpackCastVote(data []byte) (*big.Int, error) {
	out, err := governance.abi.Unpack("castVote", data)
	if err != nil {
		return new(big.Int), err
	}
	out0 := abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	return out0, nil
}

// PackCastVoteBySig is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x8ff262e3.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function castVoteBySig(uint256 proposalId, uint8 support, address voter, bytes signature) returns(uint256)
func (governance *Governance) PackCastVoteBySig(proposalId *big.Int, support uint8, voter common.Address, signature []byte) []byte {
	enc, err := governance.abi.Pack("castVoteBySig", proposalId, support, voter, signature)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackCastVoteBySig is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x8ff262e3.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function castVoteBySig(uint256 proposalId, uint8 support, address voter, bytes signature) returns(uint256)
func (governance *Governance) TryPackCastVoteBySig(proposalId *big.Int, support uint8, voter common.Address, signature []byte) ([]byte, error) {
	return governance.abi.Pack("castVoteBySig", proposalId, support, voter, signature)
}

// UnpackCastVoteBySig is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x8ff262e3.
//
// Solidity: function castVoteBySig(uint256 proposalId, uint8 support, address voter, bytes signature) returns(uint256)
func (governance *Governance) UnpackCastVoteBySig(data []byte) (*big.Int, error) {
	out, err := governance.abi.Unpack("castVoteBySig", data)
	if err != nil {
		return new(big.Int), err
	}
	out0 := abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	return out0, nil
}

// PackCastVoteWithReason is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x7b3c71d3.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function castVoteWithReason(uint256 proposalId, uint8 support, string reason) returns(uint256)
func (governance *Governance) PackCastVoteWithReason(proposalId *big.Int, support uint8, reason string) []byte {
	enc, err := governance.abi.Pack("castVoteWithReason", proposalId, support, reason)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackCastVoteWithReason is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x7b3c71d3.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function castVoteWithReason(uint256 proposalId, uint8 support, string reason) returns(uint256)
func (governance *Governance) TryPackCastVoteWithReason(proposalId *big.Int, support uint8, reason string) ([]byte, error) {
	return governance.abi.Pack("castVoteWithReason", proposalId, support, reason)
}

// UnpackCastVoteWithReason is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x7b3c71d3.
//
// Solidity: function castVoteWithReason(uint256 proposalId, uint8 support, string reason) returns(uint256)
func (governance *Governance) UnpackCastVoteWithReason(data []byte) (*big.Int, error) {
	out, err := governance.abi.Unpack("castVoteWithReason", data)
	if err != nil {
		return new(big.Int), err
	}
	out0 := abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	return out0, nil
}

// PackCastVoteWithReasonAndParams is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x5f398a14.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function castVoteWithReasonAndParams(uint256 proposalId, uint8 support, string reason, bytes params) returns(uint256)
func (governance *Governance) PackCastVoteWithReasonAndParams(proposalId *big.Int, support uint8, reason string, params []byte) []byte {
	enc, err := governance.abi.Pack("castVoteWithReasonAndParams", proposalId, support, reason, params)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackCastVoteWithReasonAndParams is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x5f398a14.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function castVoteWithReasonAndParams(uint256 proposalId, uint8 support, string reason, bytes params) returns(uint256)
func (governance *Governance) TryPackCastVoteWithReasonAndParams(proposalId *big.Int, support uint8, reason string, params []byte) ([]byte, error) {
	return governance.abi.Pack("castVoteWithReasonAndParams", proposalId, support, reason, params)
}

// UnpackCastVoteWithReasonAndParams is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x5f398a14.
//
// Solidity: function castVoteWithReasonAndParams(uint256 proposalId, uint8 support, string reason, bytes params) returns(uint256)
func (governance *Governance) UnpackCastVoteWithReasonAndParams(data []byte) (*big.Int, error) {
	out, err := governance.abi.Unpack("castVoteWithReasonAndParams", data)
	if err != nil {
		return new(big.Int), err
	}
	out0 := abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	return out0, nil
}

// PackCastVoteWithReasonAndParamsBySig is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x5b8d0e0d.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function castVoteWithReasonAndParamsBySig(uint256 proposalId, uint8 support, address voter, string reason, bytes params, bytes signature) returns(uint256)
func (governance *Governance) PackCastVoteWithReasonAndParamsBySig(proposalId *big.Int, support uint8, voter common.Address, reason string, params []byte, signature []byte) []byte {
	enc, err := governance.abi.Pack("castVoteWithReasonAndParamsBySig", proposalId, support, voter, reason, params, signature)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackCastVoteWithReasonAndParamsBySig is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x5b8d0e0d.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function castVoteWithReasonAndParamsBySig(uint256 proposalId, uint8 support, address voter, string reason, bytes params, bytes signature) returns(uint256)
func (governance *Governance) TryPackCastVoteWithReasonAndParamsBySig(proposalId *big.Int, support uint8, voter common.Address, reason string, params []byte, signature []byte) ([]byte, error) {
	return governance.abi.Pack("castVoteWithReasonAndParamsBySig", proposalId, support, voter, reason, params, signature)
}

// UnpackCastVoteWithReasonAndParamsBySig is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x5b8d0e0d.
//
// Solidity: function castVoteWithReasonAndParamsBySig(uint256 proposalId, uint8 support, address voter, string reason, bytes params, bytes signature) returns(uint256)
func (governance *Governance) UnpackCastVoteWithReasonAndParamsBySig(data []byte) (*big.Int, error) {
	out, err := governance.abi.Unpack("castVoteWithReasonAndParamsBySig", data)
	if err != nil {
		return new(big.Int), err
	}
	out0 := abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	return out0, nil
}

// PackClock is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x91ddadf4.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function clock() view returns(uint48)
func (governance *Governance) PackClock() []byte {
	enc, err := governance.abi.Pack("clock")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackClock is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x91ddadf4.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function clock() view returns(uint48)
func (governance *Governance) TryPackClock() ([]byte, error) {
	return governance.abi.Pack("clock")
}

// UnpackClock is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x91ddadf4.
//
// Solidity: function clock() view returns(uint48)
func (governance *Governance) UnpackClock(data []byte) (*big.Int, error) {
	out, err := governance.abi.Unpack("clock", data)
	if err != nil {
		return new(big.Int), err
	}
	out0 := abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	return out0, nil
}

// PackEip712Domain is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x84b0196e.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function eip712Domain() view returns(bytes1 fields, string name, string version, uint256 chainId, address verifyingContract, bytes32 salt, uint256[] extensions)
func (governance *Governance) PackEip712Domain() []byte {
	enc, err := governance.abi.Pack("eip712Domain")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackEip712Domain is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x84b0196e.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function eip712Domain() view returns(bytes1 fields, string name, string version, uint256 chainId, address verifyingContract, bytes32 salt, uint256[] extensions)
func (governance *Governance) TryPackEip712Domain() ([]byte, error) {
	return governance.abi.Pack("eip712Domain")
}

// GovernanceEip712DomainOutput serves as a container for the return parameters of contract
// method Eip712Domain.
type GovernanceEip712DomainOutput struct {
	Fields            [1]byte
	Name              string
	Version           string
	ChainId           *big.Int
	VerifyingContract common.Address
	Salt              [32]byte
	Extensions        []*big.Int
}

// UnpackEip712Domain is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x84b0196e.
//
// Solidity: function eip712Domain() view returns(bytes1 fields, string name, string version, uint256 chainId, address verifyingContract, bytes32 salt, uint256[] extensions)
func (governance *Governance) UnpackEip712Domain(data []byte) (GovernanceEip712DomainOutput, error) {
	out, err := governance.abi.Unpack("eip712Domain", data)
	outstruct := new(GovernanceEip712DomainOutput)
	if err != nil {
		return *outstruct, err
	}
	outstruct.Fields = *abi.ConvertType(out[0], new([1]byte)).(*[1]byte)
	outstruct.Name = *abi.ConvertType(out[1], new(string)).(*string)
	outstruct.Version = *abi.ConvertType(out[2], new(string)).(*string)
	outstruct.ChainId = abi.ConvertType(out[3], new(big.Int)).(*big.Int)
	outstruct.VerifyingContract = *abi.ConvertType(out[4], new(common.Address)).(*common.Address)
	outstruct.Salt = *abi.ConvertType(out[5], new([32]byte)).(*[32]byte)
	outstruct.Extensions = *abi.ConvertType(out[6], new([]*big.Int)).(*[]*big.Int)
	return *outstruct, nil
}

// PackExecute is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x2656227d.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function execute(address[] targets, uint256[] values, bytes[] calldatas, bytes32 descriptionHash) payable returns(uint256)
func (governance *Governance) PackExecute(targets []common.Address, values []*big.Int, calldatas [][]byte, descriptionHash [32]byte) []byte {
	enc, err := governance.abi.Pack("execute", targets, values, calldatas, descriptionHash)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackExecute is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x2656227d.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function execute(address[] targets, uint256[] values, bytes[] calldatas, bytes32 descriptionHash) payable returns(uint256)
func (governance *Governance) TryPackExecute(targets []common.Address, values []*big.Int, calldatas [][]byte, descriptionHash [32]byte) ([]byte, error) {
	return governance.abi.Pack("execute", targets, values, calldatas, descriptionHash)
}

// UnpackExecute is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x2656227d.
//
// Solidity: function execute(address[] targets, uint256[] values, bytes[] calldatas, bytes32 descriptionHash) payable returns(uint256)
func (governance *Governance) UnpackExecute(data []byte) (*big.Int, error) {
	out, err := governance.abi.Unpack("execute", data)
	if err != nil {
		return new(big.Int), err
	}
	out0 := abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	return out0, nil
}

// PackGetProposalId is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xa8f8a668.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function getProposalId(address[] targets, uint256[] values, bytes[] calldatas, bytes32 descriptionHash) view returns(uint256)
func (governance *Governance) PackGetProposalId(targets []common.Address, values []*big.Int, calldatas [][]byte, descriptionHash [32]byte) []byte {
	enc, err := governance.abi.Pack("getProposalId", targets, values, calldatas, descriptionHash)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackGetProposalId is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xa8f8a668.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function getProposalId(address[] targets, uint256[] values, bytes[] calldatas, bytes32 descriptionHash) view returns(uint256)
func (governance *Governance) TryPackGetProposalId(targets []common.Address, values []*big.Int, calldatas [][]byte, descriptionHash [32]byte) ([]byte, error) {
	return governance.abi.Pack("getProposalId", targets, values, calldatas, descriptionHash)
}

// UnpackGetProposalId is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xa8f8a668.
//
// Solidity: function getProposalId(address[] targets, uint256[] values, bytes[] calldatas, bytes32 descriptionHash) view returns(uint256)
func (governance *Governance) UnpackGetProposalId(data []byte) (*big.Int, error) {
	out, err := governance.abi.Unpack("getProposalId", data)
	if err != nil {
		return new(big.Int), err
	}
	out0 := abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	return out0, nil
}

// PackGetVotes is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xeb9019d4.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function getVotes(address account, uint256 timepoint) view returns(uint256)
func (governance *Governance) PackGetVotes(account common.Address, timepoint *big.Int) []byte {
	enc, err := governance.abi.Pack("getVotes", account, timepoint)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackGetVotes is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xeb9019d4.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function getVotes(address account, uint256 timepoint) view returns(uint256)
func (governance *Governance) TryPackGetVotes(account common.Address, timepoint *big.Int) ([]byte, error) {
	return governance.abi.Pack("getVotes", account, timepoint)
}

// UnpackGetVotes is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xeb9019d4.
//
// Solidity: function getVotes(address account, uint256 timepoint) view returns(uint256)
func (governance *Governance) UnpackGetVotes(data []byte) (*big.Int, error) {
	out, err := governance.abi.Unpack("getVotes", data)
	if err != nil {
		return new(big.Int), err
	}
	out0 := abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	return out0, nil
}

// PackGetVotesWithParams is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x9a802a6d.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function getVotesWithParams(address account, uint256 timepoint, bytes params) view returns(uint256)
func (governance *Governance) PackGetVotesWithParams(account common.Address, timepoint *big.Int, params []byte) []byte {
	enc, err := governance.abi.Pack("getVotesWithParams", account, timepoint, params)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackGetVotesWithParams is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x9a802a6d.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function getVotesWithParams(address account, uint256 timepoint, bytes params) view returns(uint256)
func (governance *Governance) TryPackGetVotesWithParams(account common.Address, timepoint *big.Int, params []byte) ([]byte, error) {
	return governance.abi.Pack("getVotesWithParams", account, timepoint, params)
}

// UnpackGetVotesWithParams is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x9a802a6d.
//
// Solidity: function getVotesWithParams(address account, uint256 timepoint, bytes params) view returns(uint256)
func (governance *Governance) UnpackGetVotesWithParams(data []byte) (*big.Int, error) {
	out, err := governance.abi.Unpack("getVotesWithParams", data)
	if err != nil {
		return new(big.Int), err
	}
	out0 := abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	return out0, nil
}

// PackHasVoted is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x43859632.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function hasVoted(uint256 proposalId, address account) view returns(bool)
func (governance *Governance) PackHasVoted(proposalId *big.Int, account common.Address) []byte {
	enc, err := governance.abi.Pack("hasVoted", proposalId, account)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackHasVoted is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x43859632.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function hasVoted(uint256 proposalId, address account) view returns(bool)
func (governance *Governance) TryPackHasVoted(proposalId *big.Int, account common.Address) ([]byte, error) {
	return governance.abi.Pack("hasVoted", proposalId, account)
}

// UnpackHasVoted is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x43859632.
//
// Solidity: function hasVoted(uint256 proposalId, address account) view returns(bool)
func (governance *Governance) UnpackHasVoted(data []byte) (bool, error) {
	out, err := governance.abi.Unpack("hasVoted", data)
	if err != nil {
		return *new(bool), err
	}
	out0 := *abi.ConvertType(out[0], new(bool)).(*bool)
	return out0, nil
}

// PackHashProposal is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xc59057e4.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function hashProposal(address[] targets, uint256[] values, bytes[] calldatas, bytes32 descriptionHash) pure returns(uint256)
func (governance *Governance) PackHashProposal(targets []common.Address, values []*big.Int, calldatas [][]byte, descriptionHash [32]byte) []byte {
	enc, err := governance.abi.Pack("hashProposal", targets, values, calldatas, descriptionHash)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackHashProposal is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xc59057e4.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function hashProposal(address[] targets, uint256[] values, bytes[] calldatas, bytes32 descriptionHash) pure returns(uint256)
func (governance *Governance) TryPackHashProposal(targets []common.Address, values []*big.Int, calldatas [][]byte, descriptionHash [32]byte) ([]byte, error) {
	return governance.abi.Pack("hashProposal", targets, values, calldatas, descriptionHash)
}

// UnpackHashProposal is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xc59057e4.
//
// Solidity: function hashProposal(address[] targets, uint256[] values, bytes[] calldatas, bytes32 descriptionHash) pure returns(uint256)
func (governance *Governance) UnpackHashProposal(data []byte) (*big.Int, error) {
	out, err := governance.abi.Unpack("hashProposal", data)
	if err != nil {
		return new(big.Int), err
	}
	out0 := abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	return out0, nil
}

// PackLeastQuorum is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x526206e1.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function leastQuorum() view returns(uint256)
func (governance *Governance) PackLeastQuorum() []byte {
	enc, err := governance.abi.Pack("leastQuorum")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackLeastQuorum is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x526206e1.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function leastQuorum() view returns(uint256)
func (governance *Governance) TryPackLeastQuorum() ([]byte, error) {
	return governance.abi.Pack("leastQuorum")
}

// UnpackLeastQuorum is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x526206e1.
//
// Solidity: function leastQuorum() view returns(uint256)
func (governance *Governance) UnpackLeastQuorum(data []byte) (*big.Int, error) {
	out, err := governance.abi.Unpack("leastQuorum", data)
	if err != nil {
		return new(big.Int), err
	}
	out0 := abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	return out0, nil
}

// PackName is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x06fdde03.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function name() view returns(string)
func (governance *Governance) PackName() []byte {
	enc, err := governance.abi.Pack("name")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackName is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x06fdde03.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function name() view returns(string)
func (governance *Governance) TryPackName() ([]byte, error) {
	return governance.abi.Pack("name")
}

// UnpackName is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x06fdde03.
//
// Solidity: function name() view returns(string)
func (governance *Governance) UnpackName(data []byte) (string, error) {
	out, err := governance.abi.Unpack("name", data)
	if err != nil {
		return *new(string), err
	}
	out0 := *abi.ConvertType(out[0], new(string)).(*string)
	return out0, nil
}

// PackNonces is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x7ecebe00.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function nonces(address owner) view returns(uint256)
func (governance *Governance) PackNonces(owner common.Address) []byte {
	enc, err := governance.abi.Pack("nonces", owner)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackNonces is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x7ecebe00.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function nonces(address owner) view returns(uint256)
func (governance *Governance) TryPackNonces(owner common.Address) ([]byte, error) {
	return governance.abi.Pack("nonces", owner)
}

// UnpackNonces is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x7ecebe00.
//
// Solidity: function nonces(address owner) view returns(uint256)
func (governance *Governance) UnpackNonces(data []byte) (*big.Int, error) {
	out, err := governance.abi.Unpack("nonces", data)
	if err != nil {
		return new(big.Int), err
	}
	out0 := abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	return out0, nil
}

// PackOnERC1155BatchReceived is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xbc197c81.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function onERC1155BatchReceived(address , address , uint256[] , uint256[] , bytes ) returns(bytes4)
func (governance *Governance) PackOnERC1155BatchReceived(arg0 common.Address, arg1 common.Address, arg2 []*big.Int, arg3 []*big.Int, arg4 []byte) []byte {
	enc, err := governance.abi.Pack("onERC1155BatchReceived", arg0, arg1, arg2, arg3, arg4)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackOnERC1155BatchReceived is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xbc197c81.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function onERC1155BatchReceived(address , address , uint256[] , uint256[] , bytes ) returns(bytes4)
func (governance *Governance) TryPackOnERC1155BatchReceived(arg0 common.Address, arg1 common.Address, arg2 []*big.Int, arg3 []*big.Int, arg4 []byte) ([]byte, error) {
	return governance.abi.Pack("onERC1155BatchReceived", arg0, arg1, arg2, arg3, arg4)
}

// UnpackOnERC1155BatchReceived is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xbc197c81.
//
// Solidity: function onERC1155BatchReceived(address , address , uint256[] , uint256[] , bytes ) returns(bytes4)
func (governance *Governance) UnpackOnERC1155BatchReceived(data []byte) ([4]byte, error) {
	out, err := governance.abi.Unpack("onERC1155BatchReceived", data)
	if err != nil {
		return *new([4]byte), err
	}
	out0 := *abi.ConvertType(out[0], new([4]byte)).(*[4]byte)
	return out0, nil
}

// PackOnERC1155Received is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xf23a6e61.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function onERC1155Received(address , address , uint256 , uint256 , bytes ) returns(bytes4)
func (governance *Governance) PackOnERC1155Received(arg0 common.Address, arg1 common.Address, arg2 *big.Int, arg3 *big.Int, arg4 []byte) []byte {
	enc, err := governance.abi.Pack("onERC1155Received", arg0, arg1, arg2, arg3, arg4)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackOnERC1155Received is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xf23a6e61.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function onERC1155Received(address , address , uint256 , uint256 , bytes ) returns(bytes4)
func (governance *Governance) TryPackOnERC1155Received(arg0 common.Address, arg1 common.Address, arg2 *big.Int, arg3 *big.Int, arg4 []byte) ([]byte, error) {
	return governance.abi.Pack("onERC1155Received", arg0, arg1, arg2, arg3, arg4)
}

// UnpackOnERC1155Received is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xf23a6e61.
//
// Solidity: function onERC1155Received(address , address , uint256 , uint256 , bytes ) returns(bytes4)
func (governance *Governance) UnpackOnERC1155Received(data []byte) ([4]byte, error) {
	out, err := governance.abi.Unpack("onERC1155Received", data)
	if err != nil {
		return *new([4]byte), err
	}
	out0 := *abi.ConvertType(out[0], new([4]byte)).(*[4]byte)
	return out0, nil
}

// PackOnERC721Received is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x150b7a02.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function onERC721Received(address , address , uint256 , bytes ) returns(bytes4)
func (governance *Governance) PackOnERC721Received(arg0 common.Address, arg1 common.Address, arg2 *big.Int, arg3 []byte) []byte {
	enc, err := governance.abi.Pack("onERC721Received", arg0, arg1, arg2, arg3)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackOnERC721Received is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x150b7a02.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function onERC721Received(address , address , uint256 , bytes ) returns(bytes4)
func (governance *Governance) TryPackOnERC721Received(arg0 common.Address, arg1 common.Address, arg2 *big.Int, arg3 []byte) ([]byte, error) {
	return governance.abi.Pack("onERC721Received", arg0, arg1, arg2, arg3)
}

// UnpackOnERC721Received is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x150b7a02.
//
// Solidity: function onERC721Received(address , address , uint256 , bytes ) returns(bytes4)
func (governance *Governance) UnpackOnERC721Received(data []byte) ([4]byte, error) {
	out, err := governance.abi.Unpack("onERC721Received", data)
	if err != nil {
		return *new([4]byte), err
	}
	out0 := *abi.ConvertType(out[0], new([4]byte)).(*[4]byte)
	return out0, nil
}

// PackProposalDeadline is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xc01f9e37.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function proposalDeadline(uint256 proposalId) view returns(uint256)
func (governance *Governance) PackProposalDeadline(proposalId *big.Int) []byte {
	enc, err := governance.abi.Pack("proposalDeadline", proposalId)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackProposalDeadline is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xc01f9e37.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function proposalDeadline(uint256 proposalId) view returns(uint256)
func (governance *Governance) TryPackProposalDeadline(proposalId *big.Int) ([]byte, error) {
	return governance.abi.Pack("proposalDeadline", proposalId)
}

// UnpackProposalDeadline is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xc01f9e37.
//
// Solidity: function proposalDeadline(uint256 proposalId) view returns(uint256)
func (governance *Governance) UnpackProposalDeadline(data []byte) (*big.Int, error) {
	out, err := governance.abi.Unpack("proposalDeadline", data)
	if err != nil {
		return new(big.Int), err
	}
	out0 := abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	return out0, nil
}

// PackProposalEta is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xab58fb8e.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function proposalEta(uint256 proposalId) view returns(uint256)
func (governance *Governance) PackProposalEta(proposalId *big.Int) []byte {
	enc, err := governance.abi.Pack("proposalEta", proposalId)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackProposalEta is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xab58fb8e.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function proposalEta(uint256 proposalId) view returns(uint256)
func (governance *Governance) TryPackProposalEta(proposalId *big.Int) ([]byte, error) {
	return governance.abi.Pack("proposalEta", proposalId)
}

// UnpackProposalEta is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xab58fb8e.
//
// Solidity: function proposalEta(uint256 proposalId) view returns(uint256)
func (governance *Governance) UnpackProposalEta(data []byte) (*big.Int, error) {
	out, err := governance.abi.Unpack("proposalEta", data)
	if err != nil {
		return new(big.Int), err
	}
	out0 := abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	return out0, nil
}

// PackProposalNeedsQueuing is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xa9a95294.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function proposalNeedsQueuing(uint256 id) view returns(bool)
func (governance *Governance) PackProposalNeedsQueuing(id *big.Int) []byte {
	enc, err := governance.abi.Pack("proposalNeedsQueuing", id)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackProposalNeedsQueuing is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xa9a95294.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function proposalNeedsQueuing(uint256 id) view returns(bool)
func (governance *Governance) TryPackProposalNeedsQueuing(id *big.Int) ([]byte, error) {
	return governance.abi.Pack("proposalNeedsQueuing", id)
}

// UnpackProposalNeedsQueuing is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xa9a95294.
//
// Solidity: function proposalNeedsQueuing(uint256 id) view returns(bool)
func (governance *Governance) UnpackProposalNeedsQueuing(data []byte) (bool, error) {
	out, err := governance.abi.Unpack("proposalNeedsQueuing", data)
	if err != nil {
		return *new(bool), err
	}
	out0 := *abi.ConvertType(out[0], new(bool)).(*bool)
	return out0, nil
}

// PackProposalProposer is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x143489d0.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function proposalProposer(uint256 proposalId) view returns(address)
func (governance *Governance) PackProposalProposer(proposalId *big.Int) []byte {
	enc, err := governance.abi.Pack("proposalProposer", proposalId)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackProposalProposer is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x143489d0.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function proposalProposer(uint256 proposalId) view returns(address)
func (governance *Governance) TryPackProposalProposer(proposalId *big.Int) ([]byte, error) {
	return governance.abi.Pack("proposalProposer", proposalId)
}

// UnpackProposalProposer is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x143489d0.
//
// Solidity: function proposalProposer(uint256 proposalId) view returns(address)
func (governance *Governance) UnpackProposalProposer(data []byte) (common.Address, error) {
	out, err := governance.abi.Unpack("proposalProposer", data)
	if err != nil {
		return *new(common.Address), err
	}
	out0 := *abi.ConvertType(out[0], new(common.Address)).(*common.Address)
	return out0, nil
}

// PackProposalSnapshot is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x2d63f693.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function proposalSnapshot(uint256 proposalId) view returns(uint256)
func (governance *Governance) PackProposalSnapshot(proposalId *big.Int) []byte {
	enc, err := governance.abi.Pack("proposalSnapshot", proposalId)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackProposalSnapshot is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x2d63f693.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function proposalSnapshot(uint256 proposalId) view returns(uint256)
func (governance *Governance) TryPackProposalSnapshot(proposalId *big.Int) ([]byte, error) {
	return governance.abi.Pack("proposalSnapshot", proposalId)
}

// UnpackProposalSnapshot is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x2d63f693.
//
// Solidity: function proposalSnapshot(uint256 proposalId) view returns(uint256)
func (governance *Governance) UnpackProposalSnapshot(data []byte) (*big.Int, error) {
	out, err := governance.abi.Unpack("proposalSnapshot", data)
	if err != nil {
		return new(big.Int), err
	}
	out0 := abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	return out0, nil
}

// PackProposalThreshold is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xb58131b0.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function proposalThreshold() view returns(uint256)
func (governance *Governance) PackProposalThreshold() []byte {
	enc, err := governance.abi.Pack("proposalThreshold")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackProposalThreshold is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xb58131b0.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function proposalThreshold() view returns(uint256)
func (governance *Governance) TryPackProposalThreshold() ([]byte, error) {
	return governance.abi.Pack("proposalThreshold")
}

// UnpackProposalThreshold is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xb58131b0.
//
// Solidity: function proposalThreshold() view returns(uint256)
func (governance *Governance) UnpackProposalThreshold(data []byte) (*big.Int, error) {
	out, err := governance.abi.Unpack("proposalThreshold", data)
	if err != nil {
		return new(big.Int), err
	}
	out0 := abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	return out0, nil
}

// PackProposalVotes is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x544ffc9c.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function proposalVotes(uint256 proposalId) view returns(uint256 againstVotes, uint256 forVotes, uint256 abstainVotes)
func (governance *Governance) PackProposalVotes(proposalId *big.Int) []byte {
	enc, err := governance.abi.Pack("proposalVotes", proposalId)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackProposalVotes is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x544ffc9c.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function proposalVotes(uint256 proposalId) view returns(uint256 againstVotes, uint256 forVotes, uint256 abstainVotes)
func (governance *Governance) TryPackProposalVotes(proposalId *big.Int) ([]byte, error) {
	return governance.abi.Pack("proposalVotes", proposalId)
}

// GovernanceProposalVotesOutput serves as a container for the return parameters of contract
// method ProposalVotes.
type GovernanceProposalVotesOutput struct {
	AgainstVotes *big.Int
	ForVotes     *big.Int
	AbstainVotes *big.Int
}

// UnpackProposalVotes is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x544ffc9c.
//
// Solidity: function proposalVotes(uint256 proposalId) view returns(uint256 againstVotes, uint256 forVotes, uint256 abstainVotes)
func (governance *Governance) UnpackProposalVotes(data []byte) (GovernanceProposalVotesOutput, error) {
	out, err := governance.abi.Unpack("proposalVotes", data)
	outstruct := new(GovernanceProposalVotesOutput)
	if err != nil {
		return *outstruct, err
	}
	outstruct.AgainstVotes = abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	outstruct.ForVotes = abi.ConvertType(out[1], new(big.Int)).(*big.Int)
	outstruct.AbstainVotes = abi.ConvertType(out[2], new(big.Int)).(*big.Int)
	return *outstruct, nil
}

// PackPropose is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x7d5e81e2.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function propose(address[] targets, uint256[] values, bytes[] calldatas, string description) returns(uint256)
func (governance *Governance) PackPropose(targets []common.Address, values []*big.Int, calldatas [][]byte, description string) []byte {
	enc, err := governance.abi.Pack("propose", targets, values, calldatas, description)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackPropose is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x7d5e81e2.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function propose(address[] targets, uint256[] values, bytes[] calldatas, string description) returns(uint256)
func (governance *Governance) TryPackPropose(targets []common.Address, values []*big.Int, calldatas [][]byte, description string) ([]byte, error) {
	return governance.abi.Pack("propose", targets, values, calldatas, description)
}

// UnpackPropose is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x7d5e81e2.
//
// Solidity: function propose(address[] targets, uint256[] values, bytes[] calldatas, string description) returns(uint256)
func (governance *Governance) UnpackPropose(data []byte) (*big.Int, error) {
	out, err := governance.abi.Unpack("propose", data)
	if err != nil {
		return new(big.Int), err
	}
	out0 := abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	return out0, nil
}

// PackQueue is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x160cbed7.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function queue(address[] targets, uint256[] values, bytes[] calldatas, bytes32 descriptionHash) returns(uint256)
func (governance *Governance) PackQueue(targets []common.Address, values []*big.Int, calldatas [][]byte, descriptionHash [32]byte) []byte {
	enc, err := governance.abi.Pack("queue", targets, values, calldatas, descriptionHash)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackQueue is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x160cbed7.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function queue(address[] targets, uint256[] values, bytes[] calldatas, bytes32 descriptionHash) returns(uint256)
func (governance *Governance) TryPackQueue(targets []common.Address, values []*big.Int, calldatas [][]byte, descriptionHash [32]byte) ([]byte, error) {
	return governance.abi.Pack("queue", targets, values, calldatas, descriptionHash)
}

// UnpackQueue is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x160cbed7.
//
// Solidity: function queue(address[] targets, uint256[] values, bytes[] calldatas, bytes32 descriptionHash) returns(uint256)
func (governance *Governance) UnpackQueue(data []byte) (*big.Int, error) {
	out, err := governance.abi.Unpack("queue", data)
	if err != nil {
		return new(big.Int), err
	}
	out0 := abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	return out0, nil
}

// PackQuorum is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xf8ce560a.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function quorum(uint256 timepoint) view returns(uint256)
func (governance *Governance) PackQuorum(timepoint *big.Int) []byte {
	enc, err := governance.abi.Pack("quorum", timepoint)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackQuorum is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xf8ce560a.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function quorum(uint256 timepoint) view returns(uint256)
func (governance *Governance) TryPackQuorum(timepoint *big.Int) ([]byte, error) {
	return governance.abi.Pack("quorum", timepoint)
}

// UnpackQuorum is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xf8ce560a.
//
// Solidity: function quorum(uint256 timepoint) view returns(uint256)
func (governance *Governance) UnpackQuorum(data []byte) (*big.Int, error) {
	out, err := governance.abi.Unpack("quorum", data)
	if err != nil {
		return new(big.Int), err
	}
	out0 := abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	return out0, nil
}

// PackQuorumDenominator is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x97c3d334.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function quorumDenominator() view returns(uint256)
func (governance *Governance) PackQuorumDenominator() []byte {
	enc, err := governance.abi.Pack("quorumDenominator")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackQuorumDenominator is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x97c3d334.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function quorumDenominator() view returns(uint256)
func (governance *Governance) TryPackQuorumDenominator() ([]byte, error) {
	return governance.abi.Pack("quorumDenominator")
}

// UnpackQuorumDenominator is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x97c3d334.
//
// Solidity: function quorumDenominator() view returns(uint256)
func (governance *Governance) UnpackQuorumDenominator(data []byte) (*big.Int, error) {
	out, err := governance.abi.Unpack("quorumDenominator", data)
	if err != nil {
		return new(big.Int), err
	}
	out0 := abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	return out0, nil
}

// PackQuorumNumerator is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x60c4247f.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function quorumNumerator(uint256 timepoint) view returns(uint256)
func (governance *Governance) PackQuorumNumerator(timepoint *big.Int) []byte {
	enc, err := governance.abi.Pack("quorumNumerator", timepoint)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackQuorumNumerator is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x60c4247f.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function quorumNumerator(uint256 timepoint) view returns(uint256)
func (governance *Governance) TryPackQuorumNumerator(timepoint *big.Int) ([]byte, error) {
	return governance.abi.Pack("quorumNumerator", timepoint)
}

// UnpackQuorumNumerator is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x60c4247f.
//
// Solidity: function quorumNumerator(uint256 timepoint) view returns(uint256)
func (governance *Governance) UnpackQuorumNumerator(data []byte) (*big.Int, error) {
	out, err := governance.abi.Unpack("quorumNumerator", data)
	if err != nil {
		return new(big.Int), err
	}
	out0 := abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	return out0, nil
}

// PackQuorumNumerator0 is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xa7713a70.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function quorumNumerator() view returns(uint256)
func (governance *Governance) PackQuorumNumerator0() []byte {
	enc, err := governance.abi.Pack("quorumNumerator0")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackQuorumNumerator0 is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xa7713a70.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function quorumNumerator() view returns(uint256)
func (governance *Governance) TryPackQuorumNumerator0() ([]byte, error) {
	return governance.abi.Pack("quorumNumerator0")
}

// UnpackQuorumNumerator0 is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xa7713a70.
//
// Solidity: function quorumNumerator() view returns(uint256)
func (governance *Governance) UnpackQuorumNumerator0(data []byte) (*big.Int, error) {
	out, err := governance.abi.Unpack("quorumNumerator0", data)
	if err != nil {
		return new(big.Int), err
	}
	out0 := abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	return out0, nil
}

// PackRelay is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xc28bc2fa.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function relay(address target, uint256 value, bytes data) payable returns()
func (governance *Governance) PackRelay(target common.Address, value *big.Int, data []byte) []byte {
	enc, err := governance.abi.Pack("relay", target, value, data)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackRelay is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xc28bc2fa.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function relay(address target, uint256 value, bytes data) payable returns()
func (governance *Governance) TryPackRelay(target common.Address, value *big.Int, data []byte) ([]byte, error) {
	return governance.abi.Pack("relay", target, value, data)
}

// PackSetProposalThreshold is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xece40cc1.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function setProposalThreshold(uint256 newProposalThreshold) returns()
func (governance *Governance) PackSetProposalThreshold(newProposalThreshold *big.Int) []byte {
	enc, err := governance.abi.Pack("setProposalThreshold", newProposalThreshold)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackSetProposalThreshold is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xece40cc1.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function setProposalThreshold(uint256 newProposalThreshold) returns()
func (governance *Governance) TryPackSetProposalThreshold(newProposalThreshold *big.Int) ([]byte, error) {
	return governance.abi.Pack("setProposalThreshold", newProposalThreshold)
}

// PackSetVotingDelay is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x79051887.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function setVotingDelay(uint48 newVotingDelay) returns()
func (governance *Governance) PackSetVotingDelay(newVotingDelay *big.Int) []byte {
	enc, err := governance.abi.Pack("setVotingDelay", newVotingDelay)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackSetVotingDelay is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x79051887.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function setVotingDelay(uint48 newVotingDelay) returns()
func (governance *Governance) TryPackSetVotingDelay(newVotingDelay *big.Int) ([]byte, error) {
	return governance.abi.Pack("setVotingDelay", newVotingDelay)
}

// PackSetVotingPeriod is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xe540d01d.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function setVotingPeriod(uint32 newVotingPeriod) returns()
func (governance *Governance) PackSetVotingPeriod(newVotingPeriod uint32) []byte {
	enc, err := governance.abi.Pack("setVotingPeriod", newVotingPeriod)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackSetVotingPeriod is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xe540d01d.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function setVotingPeriod(uint32 newVotingPeriod) returns()
func (governance *Governance) TryPackSetVotingPeriod(newVotingPeriod uint32) ([]byte, error) {
	return governance.abi.Pack("setVotingPeriod", newVotingPeriod)
}

// PackState is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x3e4f49e6.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function state(uint256 id) view returns(uint8)
func (governance *Governance) PackState(id *big.Int) []byte {
	enc, err := governance.abi.Pack("state", id)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackState is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x3e4f49e6.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function state(uint256 id) view returns(uint8)
func (governance *Governance) TryPackState(id *big.Int) ([]byte, error) {
	return governance.abi.Pack("state", id)
}

// UnpackState is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x3e4f49e6.
//
// Solidity: function state(uint256 id) view returns(uint8)
func (governance *Governance) UnpackState(data []byte) (uint8, error) {
	out, err := governance.abi.Unpack("state", data)
	if err != nil {
		return *new(uint8), err
	}
	out0 := *abi.ConvertType(out[0], new(uint8)).(*uint8)
	return out0, nil
}

// PackSupportsInterface is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x01ffc9a7.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function supportsInterface(bytes4 interfaceId) view returns(bool)
func (governance *Governance) PackSupportsInterface(interfaceId [4]byte) []byte {
	enc, err := governance.abi.Pack("supportsInterface", interfaceId)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackSupportsInterface is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x01ffc9a7.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function supportsInterface(bytes4 interfaceId) view returns(bool)
func (governance *Governance) TryPackSupportsInterface(interfaceId [4]byte) ([]byte, error) {
	return governance.abi.Pack("supportsInterface", interfaceId)
}

// UnpackSupportsInterface is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x01ffc9a7.
//
// Solidity: function supportsInterface(bytes4 interfaceId) view returns(bool)
func (governance *Governance) UnpackSupportsInterface(data []byte) (bool, error) {
	out, err := governance.abi.Unpack("supportsInterface", data)
	if err != nil {
		return *new(bool), err
	}
	out0 := *abi.ConvertType(out[0], new(bool)).(*bool)
	return out0, nil
}

// PackTimelock is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xd33219b4.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function timelock() view returns(address)
func (governance *Governance) PackTimelock() []byte {
	enc, err := governance.abi.Pack("timelock")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackTimelock is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xd33219b4.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function timelock() view returns(address)
func (governance *Governance) TryPackTimelock() ([]byte, error) {
	return governance.abi.Pack("timelock")
}

// UnpackTimelock is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xd33219b4.
//
// Solidity: function timelock() view returns(address)
func (governance *Governance) UnpackTimelock(data []byte) (common.Address, error) {
	out, err := governance.abi.Unpack("timelock", data)
	if err != nil {
		return *new(common.Address), err
	}
	out0 := *abi.ConvertType(out[0], new(common.Address)).(*common.Address)
	return out0, nil
}

// PackToken is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xfc0c546a.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function token() view returns(address)
func (governance *Governance) PackToken() []byte {
	enc, err := governance.abi.Pack("token")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackToken is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xfc0c546a.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function token() view returns(address)
func (governance *Governance) TryPackToken() ([]byte, error) {
	return governance.abi.Pack("token")
}

// UnpackToken is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xfc0c546a.
//
// Solidity: function token() view returns(address)
func (governance *Governance) UnpackToken(data []byte) (common.Address, error) {
	out, err := governance.abi.Unpack("token", data)
	if err != nil {
		return *new(common.Address), err
	}
	out0 := *abi.ConvertType(out[0], new(common.Address)).(*common.Address)
	return out0, nil
}

// PackUpdateQuorumNumerator is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x06f3f9e6.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function updateQuorumNumerator(uint256 newQuorumNumerator) returns()
func (governance *Governance) PackUpdateQuorumNumerator(newQuorumNumerator *big.Int) []byte {
	enc, err := governance.abi.Pack("updateQuorumNumerator", newQuorumNumerator)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackUpdateQuorumNumerator is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x06f3f9e6.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function updateQuorumNumerator(uint256 newQuorumNumerator) returns()
func (governance *Governance) TryPackUpdateQuorumNumerator(newQuorumNumerator *big.Int) ([]byte, error) {
	return governance.abi.Pack("updateQuorumNumerator", newQuorumNumerator)
}

// PackUpdateTimelock is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xa890c910.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function updateTimelock(address newTimelock) returns()
func (governance *Governance) PackUpdateTimelock(newTimelock common.Address) []byte {
	enc, err := governance.abi.Pack("updateTimelock", newTimelock)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackUpdateTimelock is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xa890c910.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function updateTimelock(address newTimelock) returns()
func (governance *Governance) TryPackUpdateTimelock(newTimelock common.Address) ([]byte, error) {
	return governance.abi.Pack("updateTimelock", newTimelock)
}

// PackVersion is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x54fd4d50.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function version() view returns(string)
func (governance *Governance) PackVersion() []byte {
	enc, err := governance.abi.Pack("version")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackVersion is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x54fd4d50.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function version() view returns(string)
func (governance *Governance) TryPackVersion() ([]byte, error) {
	return governance.abi.Pack("version")
}

// UnpackVersion is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x54fd4d50.
//
// Solidity: function version() view returns(string)
func (governance *Governance) UnpackVersion(data []byte) (string, error) {
	out, err := governance.abi.Unpack("version", data)
	if err != nil {
		return *new(string), err
	}
	out0 := *abi.ConvertType(out[0], new(string)).(*string)
	return out0, nil
}

// PackVotingDelay is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x3932abb1.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function votingDelay() view returns(uint256)
func (governance *Governance) PackVotingDelay() []byte {
	enc, err := governance.abi.Pack("votingDelay")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackVotingDelay is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x3932abb1.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function votingDelay() view returns(uint256)
func (governance *Governance) TryPackVotingDelay() ([]byte, error) {
	return governance.abi.Pack("votingDelay")
}

// UnpackVotingDelay is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x3932abb1.
//
// Solidity: function votingDelay() view returns(uint256)
func (governance *Governance) UnpackVotingDelay(data []byte) (*big.Int, error) {
	out, err := governance.abi.Unpack("votingDelay", data)
	if err != nil {
		return new(big.Int), err
	}
	out0 := abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	return out0, nil
}

// PackVotingPeriod is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x02a251a3.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function votingPeriod() view returns(uint256)
func (governance *Governance) PackVotingPeriod() []byte {
	enc, err := governance.abi.Pack("votingPeriod")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackVotingPeriod is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x02a251a3.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function votingPeriod() view returns(uint256)
func (governance *Governance) TryPackVotingPeriod() ([]byte, error) {
	return governance.abi.Pack("votingPeriod")
}

// UnpackVotingPeriod is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x02a251a3.
//
// Solidity: function votingPeriod() view returns(uint256)
func (governance *Governance) UnpackVotingPeriod(data []byte) (*big.Int, error) {
	out, err := governance.abi.Unpack("votingPeriod", data)
	if err != nil {
		return new(big.Int), err
	}
	out0 := abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	return out0, nil
}

// GovernanceEIP712DomainChanged represents a EIP712DomainChanged event raised by the Governance contract.
type GovernanceEIP712DomainChanged struct {
	Raw *types.Log // Blockchain specific contextual infos
}

const GovernanceEIP712DomainChangedEventName = "EIP712DomainChanged"

// ContractEventName returns the user-defined event name.
func (GovernanceEIP712DomainChanged) ContractEventName() string {
	return GovernanceEIP712DomainChangedEventName
}

// UnpackEIP712DomainChangedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event EIP712DomainChanged()
func (governance *Governance) UnpackEIP712DomainChangedEvent(log *types.Log) (*GovernanceEIP712DomainChanged, error) {
	event := "EIP712DomainChanged"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != governance.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(GovernanceEIP712DomainChanged)
	if len(log.Data) > 0 {
		if err := governance.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range governance.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// GovernanceProposalCanceled represents a ProposalCanceled event raised by the Governance contract.
type GovernanceProposalCanceled struct {
	ProposalId *big.Int
	Raw        *types.Log // Blockchain specific contextual infos
}

const GovernanceProposalCanceledEventName = "ProposalCanceled"

// ContractEventName returns the user-defined event name.
func (GovernanceProposalCanceled) ContractEventName() string {
	return GovernanceProposalCanceledEventName
}

// UnpackProposalCanceledEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event ProposalCanceled(uint256 proposalId)
func (governance *Governance) UnpackProposalCanceledEvent(log *types.Log) (*GovernanceProposalCanceled, error) {
	event := "ProposalCanceled"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != governance.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(GovernanceProposalCanceled)
	if len(log.Data) > 0 {
		if err := governance.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range governance.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// GovernanceProposalCreated represents a ProposalCreated event raised by the Governance contract.
type GovernanceProposalCreated struct {
	ProposalId  *big.Int
	Proposer    common.Address
	Targets     []common.Address
	Values      []*big.Int
	Signatures  []string
	Calldatas   [][]byte
	VoteStart   *big.Int
	VoteEnd     *big.Int
	Description string
	Raw         *types.Log // Blockchain specific contextual infos
}

const GovernanceProposalCreatedEventName = "ProposalCreated"

// ContractEventName returns the user-defined event name.
func (GovernanceProposalCreated) ContractEventName() string {
	return GovernanceProposalCreatedEventName
}

// UnpackProposalCreatedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event ProposalCreated(uint256 proposalId, address proposer, address[] targets, uint256[] values, string[] signatures, bytes[] calldatas, uint256 voteStart, uint256 voteEnd, string description)
func (governance *Governance) UnpackProposalCreatedEvent(log *types.Log) (*GovernanceProposalCreated, error) {
	event := "ProposalCreated"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != governance.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(GovernanceProposalCreated)
	if len(log.Data) > 0 {
		if err := governance.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range governance.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// GovernanceProposalExecuted represents a ProposalExecuted event raised by the Governance contract.
type GovernanceProposalExecuted struct {
	ProposalId *big.Int
	Raw        *types.Log // Blockchain specific contextual infos
}

const GovernanceProposalExecutedEventName = "ProposalExecuted"

// ContractEventName returns the user-defined event name.
func (GovernanceProposalExecuted) ContractEventName() string {
	return GovernanceProposalExecutedEventName
}

// UnpackProposalExecutedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event ProposalExecuted(uint256 proposalId)
func (governance *Governance) UnpackProposalExecutedEvent(log *types.Log) (*GovernanceProposalExecuted, error) {
	event := "ProposalExecuted"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != governance.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(GovernanceProposalExecuted)
	if len(log.Data) > 0 {
		if err := governance.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range governance.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// GovernanceProposalQueued represents a ProposalQueued event raised by the Governance contract.
type GovernanceProposalQueued struct {
	ProposalId *big.Int
	EtaSeconds *big.Int
	Raw        *types.Log // Blockchain specific contextual infos
}

const GovernanceProposalQueuedEventName = "ProposalQueued"

// ContractEventName returns the user-defined event name.
func (GovernanceProposalQueued) ContractEventName() string {
	return GovernanceProposalQueuedEventName
}

// UnpackProposalQueuedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event ProposalQueued(uint256 proposalId, uint256 etaSeconds)
func (governance *Governance) UnpackProposalQueuedEvent(log *types.Log) (*GovernanceProposalQueued, error) {
	event := "ProposalQueued"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != governance.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(GovernanceProposalQueued)
	if len(log.Data) > 0 {
		if err := governance.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range governance.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// GovernanceProposalThresholdSet represents a ProposalThresholdSet event raised by the Governance contract.
type GovernanceProposalThresholdSet struct {
	OldProposalThreshold *big.Int
	NewProposalThreshold *big.Int
	Raw                  *types.Log // Blockchain specific contextual infos
}

const GovernanceProposalThresholdSetEventName = "ProposalThresholdSet"

// ContractEventName returns the user-defined event name.
func (GovernanceProposalThresholdSet) ContractEventName() string {
	return GovernanceProposalThresholdSetEventName
}

// UnpackProposalThresholdSetEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event ProposalThresholdSet(uint256 oldProposalThreshold, uint256 newProposalThreshold)
func (governance *Governance) UnpackProposalThresholdSetEvent(log *types.Log) (*GovernanceProposalThresholdSet, error) {
	event := "ProposalThresholdSet"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != governance.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(GovernanceProposalThresholdSet)
	if len(log.Data) > 0 {
		if err := governance.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range governance.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// GovernanceQuorumNumeratorUpdated represents a QuorumNumeratorUpdated event raised by the Governance contract.
type GovernanceQuorumNumeratorUpdated struct {
	OldQuorumNumerator *big.Int
	NewQuorumNumerator *big.Int
	Raw                *types.Log // Blockchain specific contextual infos
}

const GovernanceQuorumNumeratorUpdatedEventName = "QuorumNumeratorUpdated"

// ContractEventName returns the user-defined event name.
func (GovernanceQuorumNumeratorUpdated) ContractEventName() string {
	return GovernanceQuorumNumeratorUpdatedEventName
}

// UnpackQuorumNumeratorUpdatedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event QuorumNumeratorUpdated(uint256 oldQuorumNumerator, uint256 newQuorumNumerator)
func (governance *Governance) UnpackQuorumNumeratorUpdatedEvent(log *types.Log) (*GovernanceQuorumNumeratorUpdated, error) {
	event := "QuorumNumeratorUpdated"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != governance.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(GovernanceQuorumNumeratorUpdated)
	if len(log.Data) > 0 {
		if err := governance.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range governance.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// GovernanceTimelockChange represents a TimelockChange event raised by the Governance contract.
type GovernanceTimelockChange struct {
	OldTimelock common.Address
	NewTimelock common.Address
	Raw         *types.Log // Blockchain specific contextual infos
}

const GovernanceTimelockChangeEventName = "TimelockChange"

// ContractEventName returns the user-defined event name.
func (GovernanceTimelockChange) ContractEventName() string {
	return GovernanceTimelockChangeEventName
}

// UnpackTimelockChangeEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event TimelockChange(address oldTimelock, address newTimelock)
func (governance *Governance) UnpackTimelockChangeEvent(log *types.Log) (*GovernanceTimelockChange, error) {
	event := "TimelockChange"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != governance.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(GovernanceTimelockChange)
	if len(log.Data) > 0 {
		if err := governance.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range governance.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// GovernanceVoteCast represents a VoteCast event raised by the Governance contract.
type GovernanceVoteCast struct {
	Voter      common.Address
	ProposalId *big.Int
	Support    uint8
	Weight     *big.Int
	Reason     string
	Raw        *types.Log // Blockchain specific contextual infos
}

const GovernanceVoteCastEventName = "VoteCast"

// ContractEventName returns the user-defined event name.
func (GovernanceVoteCast) ContractEventName() string {
	return GovernanceVoteCastEventName
}

// UnpackVoteCastEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event VoteCast(address indexed voter, uint256 proposalId, uint8 support, uint256 weight, string reason)
func (governance *Governance) UnpackVoteCastEvent(log *types.Log) (*GovernanceVoteCast, error) {
	event := "VoteCast"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != governance.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(GovernanceVoteCast)
	if len(log.Data) > 0 {
		if err := governance.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range governance.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// GovernanceVoteCastWithParams represents a VoteCastWithParams event raised by the Governance contract.
type GovernanceVoteCastWithParams struct {
	Voter      common.Address
	ProposalId *big.Int
	Support    uint8
	Weight     *big.Int
	Reason     string
	Params     []byte
	Raw        *types.Log // Blockchain specific contextual infos
}

const GovernanceVoteCastWithParamsEventName = "VoteCastWithParams"

// ContractEventName returns the user-defined event name.
func (GovernanceVoteCastWithParams) ContractEventName() string {
	return GovernanceVoteCastWithParamsEventName
}

// UnpackVoteCastWithParamsEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event VoteCastWithParams(address indexed voter, uint256 proposalId, uint8 support, uint256 weight, string reason, bytes params)
func (governance *Governance) UnpackVoteCastWithParamsEvent(log *types.Log) (*GovernanceVoteCastWithParams, error) {
	event := "VoteCastWithParams"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != governance.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(GovernanceVoteCastWithParams)
	if len(log.Data) > 0 {
		if err := governance.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range governance.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// GovernanceVotingDelaySet represents a VotingDelaySet event raised by the Governance contract.
type GovernanceVotingDelaySet struct {
	OldVotingDelay *big.Int
	NewVotingDelay *big.Int
	Raw            *types.Log // Blockchain specific contextual infos
}

const GovernanceVotingDelaySetEventName = "VotingDelaySet"

// ContractEventName returns the user-defined event name.
func (GovernanceVotingDelaySet) ContractEventName() string {
	return GovernanceVotingDelaySetEventName
}

// UnpackVotingDelaySetEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event VotingDelaySet(uint256 oldVotingDelay, uint256 newVotingDelay)
func (governance *Governance) UnpackVotingDelaySetEvent(log *types.Log) (*GovernanceVotingDelaySet, error) {
	event := "VotingDelaySet"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != governance.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(GovernanceVotingDelaySet)
	if len(log.Data) > 0 {
		if err := governance.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range governance.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// GovernanceVotingPeriodSet represents a VotingPeriodSet event raised by the Governance contract.
type GovernanceVotingPeriodSet struct {
	OldVotingPeriod *big.Int
	NewVotingPeriod *big.Int
	Raw             *types.Log // Blockchain specific contextual infos
}

const GovernanceVotingPeriodSetEventName = "VotingPeriodSet"

// ContractEventName returns the user-defined event name.
func (GovernanceVotingPeriodSet) ContractEventName() string {
	return GovernanceVotingPeriodSetEventName
}

// UnpackVotingPeriodSetEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event VotingPeriodSet(uint256 oldVotingPeriod, uint256 newVotingPeriod)
func (governance *Governance) UnpackVotingPeriodSetEvent(log *types.Log) (*GovernanceVotingPeriodSet, error) {
	event := "VotingPeriodSet"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != governance.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(GovernanceVotingPeriodSet)
	if len(log.Data) > 0 {
		if err := governance.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range governance.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// UnpackError attempts to decode the provided error data using user-defined
// error definitions.
func (governance *Governance) UnpackError(raw []byte) (any, error) {
	if bytes.Equal(raw[:4], governance.abi.Errors["CheckpointUnorderedInsertion"].ID.Bytes()[:4]) {
		return governance.UnpackCheckpointUnorderedInsertionError(raw[4:])
	}
	if bytes.Equal(raw[:4], governance.abi.Errors["ERC6372InconsistentClock"].ID.Bytes()[:4]) {
		return governance.UnpackERC6372InconsistentClockError(raw[4:])
	}
	if bytes.Equal(raw[:4], governance.abi.Errors["FailedCall"].ID.Bytes()[:4]) {
		return governance.UnpackFailedCallError(raw[4:])
	}
	if bytes.Equal(raw[:4], governance.abi.Errors["Governance_NoThreshold"].ID.Bytes()[:4]) {
		return governance.UnpackGovernanceNoThresholdError(raw[4:])
	}
	if bytes.Equal(raw[:4], governance.abi.Errors["GovernorAlreadyCastVote"].ID.Bytes()[:4]) {
		return governance.UnpackGovernorAlreadyCastVoteError(raw[4:])
	}
	if bytes.Equal(raw[:4], governance.abi.Errors["GovernorAlreadyQueuedProposal"].ID.Bytes()[:4]) {
		return governance.UnpackGovernorAlreadyQueuedProposalError(raw[4:])
	}
	if bytes.Equal(raw[:4], governance.abi.Errors["GovernorDisabledDeposit"].ID.Bytes()[:4]) {
		return governance.UnpackGovernorDisabledDepositError(raw[4:])
	}
	if bytes.Equal(raw[:4], governance.abi.Errors["GovernorInsufficientProposerVotes"].ID.Bytes()[:4]) {
		return governance.UnpackGovernorInsufficientProposerVotesError(raw[4:])
	}
	if bytes.Equal(raw[:4], governance.abi.Errors["GovernorInvalidProposalLength"].ID.Bytes()[:4]) {
		return governance.UnpackGovernorInvalidProposalLengthError(raw[4:])
	}
	if bytes.Equal(raw[:4], governance.abi.Errors["GovernorInvalidQuorumFraction"].ID.Bytes()[:4]) {
		return governance.UnpackGovernorInvalidQuorumFractionError(raw[4:])
	}
	if bytes.Equal(raw[:4], governance.abi.Errors["GovernorInvalidSignature"].ID.Bytes()[:4]) {
		return governance.UnpackGovernorInvalidSignatureError(raw[4:])
	}
	if bytes.Equal(raw[:4], governance.abi.Errors["GovernorInvalidVoteParams"].ID.Bytes()[:4]) {
		return governance.UnpackGovernorInvalidVoteParamsError(raw[4:])
	}
	if bytes.Equal(raw[:4], governance.abi.Errors["GovernorInvalidVoteType"].ID.Bytes()[:4]) {
		return governance.UnpackGovernorInvalidVoteTypeError(raw[4:])
	}
	if bytes.Equal(raw[:4], governance.abi.Errors["GovernorInvalidVotingPeriod"].ID.Bytes()[:4]) {
		return governance.UnpackGovernorInvalidVotingPeriodError(raw[4:])
	}
	if bytes.Equal(raw[:4], governance.abi.Errors["GovernorNonexistentProposal"].ID.Bytes()[:4]) {
		return governance.UnpackGovernorNonexistentProposalError(raw[4:])
	}
	if bytes.Equal(raw[:4], governance.abi.Errors["GovernorOnlyExecutor"].ID.Bytes()[:4]) {
		return governance.UnpackGovernorOnlyExecutorError(raw[4:])
	}
	if bytes.Equal(raw[:4], governance.abi.Errors["GovernorProposalQueueingFailed"].ID.Bytes()[:4]) {
		return governance.UnpackGovernorProposalQueueingFailedError(raw[4:])
	}
	if bytes.Equal(raw[:4], governance.abi.Errors["GovernorProposalQueueingNotRequired"].ID.Bytes()[:4]) {
		return governance.UnpackGovernorProposalQueueingNotRequiredError(raw[4:])
	}
	if bytes.Equal(raw[:4], governance.abi.Errors["GovernorRestrictedProposer"].ID.Bytes()[:4]) {
		return governance.UnpackGovernorRestrictedProposerError(raw[4:])
	}
	if bytes.Equal(raw[:4], governance.abi.Errors["GovernorUnableToCancel"].ID.Bytes()[:4]) {
		return governance.UnpackGovernorUnableToCancelError(raw[4:])
	}
	if bytes.Equal(raw[:4], governance.abi.Errors["GovernorUnexpectedProposalState"].ID.Bytes()[:4]) {
		return governance.UnpackGovernorUnexpectedProposalStateError(raw[4:])
	}
	if bytes.Equal(raw[:4], governance.abi.Errors["InvalidAccountNonce"].ID.Bytes()[:4]) {
		return governance.UnpackInvalidAccountNonceError(raw[4:])
	}
	if bytes.Equal(raw[:4], governance.abi.Errors["InvalidShortString"].ID.Bytes()[:4]) {
		return governance.UnpackInvalidShortStringError(raw[4:])
	}
	if bytes.Equal(raw[:4], governance.abi.Errors["SafeCastOverflowedUintDowncast"].ID.Bytes()[:4]) {
		return governance.UnpackSafeCastOverflowedUintDowncastError(raw[4:])
	}
	if bytes.Equal(raw[:4], governance.abi.Errors["StringTooLong"].ID.Bytes()[:4]) {
		return governance.UnpackStringTooLongError(raw[4:])
	}
	return nil, errors.New("Unknown error")
}

// GovernanceCheckpointUnorderedInsertion represents a CheckpointUnorderedInsertion error raised by the Governance contract.
type GovernanceCheckpointUnorderedInsertion struct {
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error CheckpointUnorderedInsertion()
func GovernanceCheckpointUnorderedInsertionErrorID() common.Hash {
	return common.HexToHash("0x2520601d9d60b717c34a36ad270857824c5a1ebbfd08ff39aba6930089495cfa")
}

// UnpackCheckpointUnorderedInsertionError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error CheckpointUnorderedInsertion()
func (governance *Governance) UnpackCheckpointUnorderedInsertionError(raw []byte) (*GovernanceCheckpointUnorderedInsertion, error) {
	out := new(GovernanceCheckpointUnorderedInsertion)
	if err := governance.abi.UnpackIntoInterface(out, "CheckpointUnorderedInsertion", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// GovernanceERC6372InconsistentClock represents a ERC6372InconsistentClock error raised by the Governance contract.
type GovernanceERC6372InconsistentClock struct {
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error ERC6372InconsistentClock()
func GovernanceERC6372InconsistentClockErrorID() common.Hash {
	return common.HexToHash("0x6ff07140ae905cb0f8e72fb38f5dd8e756c387b0065be0e1bf85bd0621a43dc7")
}

// UnpackERC6372InconsistentClockError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error ERC6372InconsistentClock()
func (governance *Governance) UnpackERC6372InconsistentClockError(raw []byte) (*GovernanceERC6372InconsistentClock, error) {
	out := new(GovernanceERC6372InconsistentClock)
	if err := governance.abi.UnpackIntoInterface(out, "ERC6372InconsistentClock", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// GovernanceFailedCall represents a FailedCall error raised by the Governance contract.
type GovernanceFailedCall struct {
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error FailedCall()
func GovernanceFailedCallErrorID() common.Hash {
	return common.HexToHash("0xd6bda27508c0fb6d8a39b4b122878dab26f731a7d4e4abe711dd3731899052a4")
}

// UnpackFailedCallError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error FailedCall()
func (governance *Governance) UnpackFailedCallError(raw []byte) (*GovernanceFailedCall, error) {
	out := new(GovernanceFailedCall)
	if err := governance.abi.UnpackIntoInterface(out, "FailedCall", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// GovernanceGovernanceNoThreshold represents a Governance_NoThreshold error raised by the Governance contract.
type GovernanceGovernanceNoThreshold struct {
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error Governance_NoThreshold()
func GovernanceGovernanceNoThresholdErrorID() common.Hash {
	return common.HexToHash("0x35f6baa4720a963a1927bd74e656034a2d2417492435e465885f299a00cd93f2")
}

// UnpackGovernanceNoThresholdError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error Governance_NoThreshold()
func (governance *Governance) UnpackGovernanceNoThresholdError(raw []byte) (*GovernanceGovernanceNoThreshold, error) {
	out := new(GovernanceGovernanceNoThreshold)
	if err := governance.abi.UnpackIntoInterface(out, "Governance_NoThreshold", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// GovernanceGovernorAlreadyCastVote represents a GovernorAlreadyCastVote error raised by the Governance contract.
type GovernanceGovernorAlreadyCastVote struct {
	Voter common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error GovernorAlreadyCastVote(address voter)
func GovernanceGovernorAlreadyCastVoteErrorID() common.Hash {
	return common.HexToHash("0x71c6af4932ed543cdb181fcbb800f4b9940a2ccceeaee5e6e141de8c50856ede")
}

// UnpackGovernorAlreadyCastVoteError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error GovernorAlreadyCastVote(address voter)
func (governance *Governance) UnpackGovernorAlreadyCastVoteError(raw []byte) (*GovernanceGovernorAlreadyCastVote, error) {
	out := new(GovernanceGovernorAlreadyCastVote)
	if err := governance.abi.UnpackIntoInterface(out, "GovernorAlreadyCastVote", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// GovernanceGovernorAlreadyQueuedProposal represents a GovernorAlreadyQueuedProposal error raised by the Governance contract.
type GovernanceGovernorAlreadyQueuedProposal struct {
	ProposalId *big.Int
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error GovernorAlreadyQueuedProposal(uint256 proposalId)
func GovernanceGovernorAlreadyQueuedProposalErrorID() common.Hash {
	return common.HexToHash("0xf20e7d374e58691196b2e081c7753efc94203ab3520c58efe153076e279fde0a")
}

// UnpackGovernorAlreadyQueuedProposalError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error GovernorAlreadyQueuedProposal(uint256 proposalId)
func (governance *Governance) UnpackGovernorAlreadyQueuedProposalError(raw []byte) (*GovernanceGovernorAlreadyQueuedProposal, error) {
	out := new(GovernanceGovernorAlreadyQueuedProposal)
	if err := governance.abi.UnpackIntoInterface(out, "GovernorAlreadyQueuedProposal", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// GovernanceGovernorDisabledDeposit represents a GovernorDisabledDeposit error raised by the Governance contract.
type GovernanceGovernorDisabledDeposit struct {
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error GovernorDisabledDeposit()
func GovernanceGovernorDisabledDepositErrorID() common.Hash {
	return common.HexToHash("0xe90a651e5fdea7022846d10b5f36994c22e1f46db4b5021aa3e26ad83b24bfd8")
}

// UnpackGovernorDisabledDepositError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error GovernorDisabledDeposit()
func (governance *Governance) UnpackGovernorDisabledDepositError(raw []byte) (*GovernanceGovernorDisabledDeposit, error) {
	out := new(GovernanceGovernorDisabledDeposit)
	if err := governance.abi.UnpackIntoInterface(out, "GovernorDisabledDeposit", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// GovernanceGovernorInsufficientProposerVotes represents a GovernorInsufficientProposerVotes error raised by the Governance contract.
type GovernanceGovernorInsufficientProposerVotes struct {
	Proposer  common.Address
	Votes     *big.Int
	Threshold *big.Int
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error GovernorInsufficientProposerVotes(address proposer, uint256 votes, uint256 threshold)
func GovernanceGovernorInsufficientProposerVotesErrorID() common.Hash {
	return common.HexToHash("0xc242ee16ab08d11dbce60e744efdbd91b4e07ac4c074d993992519795a6324d0")
}

// UnpackGovernorInsufficientProposerVotesError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error GovernorInsufficientProposerVotes(address proposer, uint256 votes, uint256 threshold)
func (governance *Governance) UnpackGovernorInsufficientProposerVotesError(raw []byte) (*GovernanceGovernorInsufficientProposerVotes, error) {
	out := new(GovernanceGovernorInsufficientProposerVotes)
	if err := governance.abi.UnpackIntoInterface(out, "GovernorInsufficientProposerVotes", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// GovernanceGovernorInvalidProposalLength represents a GovernorInvalidProposalLength error raised by the Governance contract.
type GovernanceGovernorInvalidProposalLength struct {
	Targets   *big.Int
	Calldatas *big.Int
	Values    *big.Int
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error GovernorInvalidProposalLength(uint256 targets, uint256 calldatas, uint256 values)
func GovernanceGovernorInvalidProposalLengthErrorID() common.Hash {
	return common.HexToHash("0x447b05d0c41e339e22932be48ca2091a47f3c39df25e2152ad11a8729753b2b4")
}

// UnpackGovernorInvalidProposalLengthError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error GovernorInvalidProposalLength(uint256 targets, uint256 calldatas, uint256 values)
func (governance *Governance) UnpackGovernorInvalidProposalLengthError(raw []byte) (*GovernanceGovernorInvalidProposalLength, error) {
	out := new(GovernanceGovernorInvalidProposalLength)
	if err := governance.abi.UnpackIntoInterface(out, "GovernorInvalidProposalLength", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// GovernanceGovernorInvalidQuorumFraction represents a GovernorInvalidQuorumFraction error raised by the Governance contract.
type GovernanceGovernorInvalidQuorumFraction struct {
	QuorumNumerator   *big.Int
	QuorumDenominator *big.Int
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error GovernorInvalidQuorumFraction(uint256 quorumNumerator, uint256 quorumDenominator)
func GovernanceGovernorInvalidQuorumFractionErrorID() common.Hash {
	return common.HexToHash("0x243e5445050913bb1c3de7a2f82eba0c3b0b8a55c2aacf660392fa35087a1919")
}

// UnpackGovernorInvalidQuorumFractionError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error GovernorInvalidQuorumFraction(uint256 quorumNumerator, uint256 quorumDenominator)
func (governance *Governance) UnpackGovernorInvalidQuorumFractionError(raw []byte) (*GovernanceGovernorInvalidQuorumFraction, error) {
	out := new(GovernanceGovernorInvalidQuorumFraction)
	if err := governance.abi.UnpackIntoInterface(out, "GovernorInvalidQuorumFraction", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// GovernanceGovernorInvalidSignature represents a GovernorInvalidSignature error raised by the Governance contract.
type GovernanceGovernorInvalidSignature struct {
	Voter common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error GovernorInvalidSignature(address voter)
func GovernanceGovernorInvalidSignatureErrorID() common.Hash {
	return common.HexToHash("0x94ab6c07905fb25046d2809e4563b09690f891c9495bfe19551d602e7eddbb1b")
}

// UnpackGovernorInvalidSignatureError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error GovernorInvalidSignature(address voter)
func (governance *Governance) UnpackGovernorInvalidSignatureError(raw []byte) (*GovernanceGovernorInvalidSignature, error) {
	out := new(GovernanceGovernorInvalidSignature)
	if err := governance.abi.UnpackIntoInterface(out, "GovernorInvalidSignature", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// GovernanceGovernorInvalidVoteParams represents a GovernorInvalidVoteParams error raised by the Governance contract.
type GovernanceGovernorInvalidVoteParams struct {
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error GovernorInvalidVoteParams()
func GovernanceGovernorInvalidVoteParamsErrorID() common.Hash {
	return common.HexToHash("0x867db7717d0cc803be5726127d33cc17ae07776705d8ba6659af8aaa5b418dd8")
}

// UnpackGovernorInvalidVoteParamsError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error GovernorInvalidVoteParams()
func (governance *Governance) UnpackGovernorInvalidVoteParamsError(raw []byte) (*GovernanceGovernorInvalidVoteParams, error) {
	out := new(GovernanceGovernorInvalidVoteParams)
	if err := governance.abi.UnpackIntoInterface(out, "GovernorInvalidVoteParams", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// GovernanceGovernorInvalidVoteType represents a GovernorInvalidVoteType error raised by the Governance contract.
type GovernanceGovernorInvalidVoteType struct {
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error GovernorInvalidVoteType()
func GovernanceGovernorInvalidVoteTypeErrorID() common.Hash {
	return common.HexToHash("0x06b337c26289d63178b4d4ed5fd513f38a1d8832d0edd309ef07bfc9ba5caf49")
}

// UnpackGovernorInvalidVoteTypeError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error GovernorInvalidVoteType()
func (governance *Governance) UnpackGovernorInvalidVoteTypeError(raw []byte) (*GovernanceGovernorInvalidVoteType, error) {
	out := new(GovernanceGovernorInvalidVoteType)
	if err := governance.abi.UnpackIntoInterface(out, "GovernorInvalidVoteType", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// GovernanceGovernorInvalidVotingPeriod represents a GovernorInvalidVotingPeriod error raised by the Governance contract.
type GovernanceGovernorInvalidVotingPeriod struct {
	VotingPeriod *big.Int
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error GovernorInvalidVotingPeriod(uint256 votingPeriod)
func GovernanceGovernorInvalidVotingPeriodErrorID() common.Hash {
	return common.HexToHash("0xf1cfbf057db43f9730bc42a52728d66da9151a5c6929758ee824e299f82f5689")
}

// UnpackGovernorInvalidVotingPeriodError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error GovernorInvalidVotingPeriod(uint256 votingPeriod)
func (governance *Governance) UnpackGovernorInvalidVotingPeriodError(raw []byte) (*GovernanceGovernorInvalidVotingPeriod, error) {
	out := new(GovernanceGovernorInvalidVotingPeriod)
	if err := governance.abi.UnpackIntoInterface(out, "GovernorInvalidVotingPeriod", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// GovernanceGovernorNonexistentProposal represents a GovernorNonexistentProposal error raised by the Governance contract.
type GovernanceGovernorNonexistentProposal struct {
	ProposalId *big.Int
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error GovernorNonexistentProposal(uint256 proposalId)
func GovernanceGovernorNonexistentProposalErrorID() common.Hash {
	return common.HexToHash("0x6ad06075316ea071ccae80931b756598be5aad3433b2c47b38607a8eec344a70")
}

// UnpackGovernorNonexistentProposalError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error GovernorNonexistentProposal(uint256 proposalId)
func (governance *Governance) UnpackGovernorNonexistentProposalError(raw []byte) (*GovernanceGovernorNonexistentProposal, error) {
	out := new(GovernanceGovernorNonexistentProposal)
	if err := governance.abi.UnpackIntoInterface(out, "GovernorNonexistentProposal", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// GovernanceGovernorOnlyExecutor represents a GovernorOnlyExecutor error raised by the Governance contract.
type GovernanceGovernorOnlyExecutor struct {
	Account common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error GovernorOnlyExecutor(address account)
func GovernanceGovernorOnlyExecutorErrorID() common.Hash {
	return common.HexToHash("0x47096e4749c231af946d5efc74a7fd817371e756031e98787f18bf70aaa7753c")
}

// UnpackGovernorOnlyExecutorError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error GovernorOnlyExecutor(address account)
func (governance *Governance) UnpackGovernorOnlyExecutorError(raw []byte) (*GovernanceGovernorOnlyExecutor, error) {
	out := new(GovernanceGovernorOnlyExecutor)
	if err := governance.abi.UnpackIntoInterface(out, "GovernorOnlyExecutor", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// GovernanceGovernorProposalQueueingFailed represents a GovernorProposalQueueingFailed error raised by the Governance contract.
type GovernanceGovernorProposalQueueingFailed struct {
	ProposalId *big.Int
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error GovernorProposalQueueingFailed(uint256 proposalId)
func GovernanceGovernorProposalQueueingFailedErrorID() common.Hash {
	return common.HexToHash("0xab2d0311b12775d840d040f070d41586c4d88ef7337d352d0dfa2a1ede1d73e0")
}

// UnpackGovernorProposalQueueingFailedError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error GovernorProposalQueueingFailed(uint256 proposalId)
func (governance *Governance) UnpackGovernorProposalQueueingFailedError(raw []byte) (*GovernanceGovernorProposalQueueingFailed, error) {
	out := new(GovernanceGovernorProposalQueueingFailed)
	if err := governance.abi.UnpackIntoInterface(out, "GovernorProposalQueueingFailed", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// GovernanceGovernorProposalQueueingNotRequired represents a GovernorProposalQueueingNotRequired error raised by the Governance contract.
type GovernanceGovernorProposalQueueingNotRequired struct {
	ProposalId *big.Int
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error GovernorProposalQueueingNotRequired(uint256 proposalId)
func GovernanceGovernorProposalQueueingNotRequiredErrorID() common.Hash {
	return common.HexToHash("0xd838bcb7f156d6ff91334907349273614e60ebfac1fd90f5ce25b84cd6c61a09")
}

// UnpackGovernorProposalQueueingNotRequiredError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error GovernorProposalQueueingNotRequired(uint256 proposalId)
func (governance *Governance) UnpackGovernorProposalQueueingNotRequiredError(raw []byte) (*GovernanceGovernorProposalQueueingNotRequired, error) {
	out := new(GovernanceGovernorProposalQueueingNotRequired)
	if err := governance.abi.UnpackIntoInterface(out, "GovernorProposalQueueingNotRequired", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// GovernanceGovernorRestrictedProposer represents a GovernorRestrictedProposer error raised by the Governance contract.
type GovernanceGovernorRestrictedProposer struct {
	Proposer common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error GovernorRestrictedProposer(address proposer)
func GovernanceGovernorRestrictedProposerErrorID() common.Hash {
	return common.HexToHash("0xd9b395579c6f1566cc7608394c53136f366f7fa719d01a941bee075ef8c704f4")
}

// UnpackGovernorRestrictedProposerError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error GovernorRestrictedProposer(address proposer)
func (governance *Governance) UnpackGovernorRestrictedProposerError(raw []byte) (*GovernanceGovernorRestrictedProposer, error) {
	out := new(GovernanceGovernorRestrictedProposer)
	if err := governance.abi.UnpackIntoInterface(out, "GovernorRestrictedProposer", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// GovernanceGovernorUnableToCancel represents a GovernorUnableToCancel error raised by the Governance contract.
type GovernanceGovernorUnableToCancel struct {
	ProposalId *big.Int
	Account    common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error GovernorUnableToCancel(uint256 proposalId, address account)
func GovernanceGovernorUnableToCancelErrorID() common.Hash {
	return common.HexToHash("0x8fe5d8a9809b4b1a3569a8d98ce25e21fb956a89b6b9a2741d15bc699f46ef07")
}

// UnpackGovernorUnableToCancelError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error GovernorUnableToCancel(uint256 proposalId, address account)
func (governance *Governance) UnpackGovernorUnableToCancelError(raw []byte) (*GovernanceGovernorUnableToCancel, error) {
	out := new(GovernanceGovernorUnableToCancel)
	if err := governance.abi.UnpackIntoInterface(out, "GovernorUnableToCancel", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// GovernanceGovernorUnexpectedProposalState represents a GovernorUnexpectedProposalState error raised by the Governance contract.
type GovernanceGovernorUnexpectedProposalState struct {
	ProposalId     *big.Int
	Current        uint8
	ExpectedStates [32]byte
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error GovernorUnexpectedProposalState(uint256 proposalId, uint8 current, bytes32 expectedStates)
func GovernanceGovernorUnexpectedProposalStateErrorID() common.Hash {
	return common.HexToHash("0x31b75e4d4f8317c390cf01cbc79dfe4f67ce2d27f65a099074fdc67f00f76908")
}

// UnpackGovernorUnexpectedProposalStateError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error GovernorUnexpectedProposalState(uint256 proposalId, uint8 current, bytes32 expectedStates)
func (governance *Governance) UnpackGovernorUnexpectedProposalStateError(raw []byte) (*GovernanceGovernorUnexpectedProposalState, error) {
	out := new(GovernanceGovernorUnexpectedProposalState)
	if err := governance.abi.UnpackIntoInterface(out, "GovernorUnexpectedProposalState", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// GovernanceInvalidAccountNonce represents a InvalidAccountNonce error raised by the Governance contract.
type GovernanceInvalidAccountNonce struct {
	Account      common.Address
	CurrentNonce *big.Int
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error InvalidAccountNonce(address account, uint256 currentNonce)
func GovernanceInvalidAccountNonceErrorID() common.Hash {
	return common.HexToHash("0x752d88c0de02638abf10e8e31861e4c68dc1f3a1e7d840e580683f2c282bfc7a")
}

// UnpackInvalidAccountNonceError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error InvalidAccountNonce(address account, uint256 currentNonce)
func (governance *Governance) UnpackInvalidAccountNonceError(raw []byte) (*GovernanceInvalidAccountNonce, error) {
	out := new(GovernanceInvalidAccountNonce)
	if err := governance.abi.UnpackIntoInterface(out, "InvalidAccountNonce", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// GovernanceInvalidShortString represents a InvalidShortString error raised by the Governance contract.
type GovernanceInvalidShortString struct {
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error InvalidShortString()
func GovernanceInvalidShortStringErrorID() common.Hash {
	return common.HexToHash("0xb3512b0c6163e5f0bafab72bb631b9d58cd7a731b082f910338aa21c83d5c274")
}

// UnpackInvalidShortStringError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error InvalidShortString()
func (governance *Governance) UnpackInvalidShortStringError(raw []byte) (*GovernanceInvalidShortString, error) {
	out := new(GovernanceInvalidShortString)
	if err := governance.abi.UnpackIntoInterface(out, "InvalidShortString", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// GovernanceSafeCastOverflowedUintDowncast represents a SafeCastOverflowedUintDowncast error raised by the Governance contract.
type GovernanceSafeCastOverflowedUintDowncast struct {
	Bits  uint8
	Value *big.Int
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error SafeCastOverflowedUintDowncast(uint8 bits, uint256 value)
func GovernanceSafeCastOverflowedUintDowncastErrorID() common.Hash {
	return common.HexToHash("0x6dfcc6503a32754ce7a89698e18201fc5294fd4aad43edefee786f88423b1a12")
}

// UnpackSafeCastOverflowedUintDowncastError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error SafeCastOverflowedUintDowncast(uint8 bits, uint256 value)
func (governance *Governance) UnpackSafeCastOverflowedUintDowncastError(raw []byte) (*GovernanceSafeCastOverflowedUintDowncast, error) {
	out := new(GovernanceSafeCastOverflowedUintDowncast)
	if err := governance.abi.UnpackIntoInterface(out, "SafeCastOverflowedUintDowncast", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// GovernanceStringTooLong represents a StringTooLong error raised by the Governance contract.
type GovernanceStringTooLong struct {
	Str string
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error StringTooLong(string str)
func GovernanceStringTooLongErrorID() common.Hash {
	return common.HexToHash("0x305a27a93f8e33b7392df0a0f91d6fc63847395853c45991eec52dbf24d72381")
}

// UnpackStringTooLongError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error StringTooLong(string str)
func (governance *Governance) UnpackStringTooLongError(raw []byte) (*GovernanceStringTooLong, error) {
	out := new(GovernanceStringTooLong)
	if err := governance.abi.UnpackIntoInterface(out, "StringTooLong", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// HUDLMetaData contains all meta data concerning the HUDL contract.
var HUDLMetaData = bind.MetaData{
	ABI: "[{\"inputs\":[{\"internalType\":\"address\",\"name\":\"reserve_\",\"type\":\"address\"},{\"components\":[{\"internalType\":\"address\",\"name\":\"holder\",\"type\":\"address\"},{\"internalType\":\"uint256\",\"name\":\"amount\",\"type\":\"uint256\"}],\"internalType\":\"structIHUDL.Allocation[]\",\"name\":\"genesis\",\"type\":\"tuple[]\"}],\"stateMutability\":\"nonpayable\",\"type\":\"constructor\"},{\"inputs\":[],\"name\":\"DOMAIN_SEPARATOR\",\"outputs\":[{\"internalType\":\"bytes32\",\"name\":\"\",\"type\":\"bytes32\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"owner\",\"type\":\"address\"},{\"internalType\":\"address\",\"name\":\"spender\",\"type\":\"address\"}],\"name\":\"allowance\",\"outputs\":[{\"internalType\":\"uint256\",\"name\":\"\",\"type\":\"uint256\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"spender\",\"type\":\"address\"},{\"internalType\":\"uint256\",\"name\":\"value\",\"type\":\"uint256\"}],\"name\":\"approve\",\"outputs\":[{\"internalType\":\"bool\",\"name\":\"\",\"type\":\"bool\"}],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"account\",\"type\":\"address\"}],\"name\":\"balanceOf\",\"outputs\":[{\"internalType\":\"uint256\",\"name\":\"\",\"type\":\"uint256\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"uint256\",\"name\":\"amount\",\"type\":\"uint256\"}],\"name\":\"burn\",\"outputs\":[],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[],\"name\":\"decimals\",\"outputs\":[{\"internalType\":\"uint8\",\"name\":\"\",\"type\":\"uint8\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[],\"name\":\"eip712Domain\",\"outputs\":[{\"internalType\":\"bytes1\",\"name\":\"fields\",\"type\":\"bytes1\"},{\"internalType\":\"string\",\"name\":\"name\",\"type\":\"string\"},{\"internalType\":\"string\",\"name\":\"version\",\"type\":\"string\"},{\"internalType\":\"uint256\",\"name\":\"chainId\",\"type\":\"uint256\"},{\"internalType\":\"address\",\"name\":\"verifyingContract\",\"type\":\"address\"},{\"internalType\":\"bytes32\",\"name\":\"salt\",\"type\":\"bytes32\"},{\"internalType\":\"uint256[]\",\"name\":\"extensions\",\"type\":\"uint256[]\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"to\",\"type\":\"address\"},{\"internalType\":\"uint256\",\"name\":\"amount\",\"type\":\"uint256\"}],\"name\":\"mint\",\"outputs\":[],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[],\"name\":\"name\",\"outputs\":[{\"internalType\":\"string\",\"name\":\"\",\"type\":\"string\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"owner\",\"type\":\"address\"}],\"name\":\"nonces\",\"outputs\":[{\"internalType\":\"uint256\",\"name\":\"\",\"type\":\"uint256\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"owner\",\"type\":\"address\"},{\"internalType\":\"address\",\"name\":\"spender\",\"type\":\"address\"},{\"internalType\":\"uint256\",\"name\":\"value\",\"type\":\"uint256\"},{\"internalType\":\"uint256\",\"name\":\"deadline\",\"type\":\"uint256\"},{\"internalType\":\"uint8\",\"name\":\"v\",\"type\":\"uint8\"},{\"internalType\":\"bytes32\",\"name\":\"r\",\"type\":\"bytes32\"},{\"internalType\":\"bytes32\",\"name\":\"s\",\"type\":\"bytes32\"}],\"name\":\"permit\",\"outputs\":[],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[],\"name\":\"reserve\",\"outputs\":[{\"internalType\":\"address\",\"name\":\"\",\"type\":\"address\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[],\"name\":\"symbol\",\"outputs\":[{\"internalType\":\"string\",\"name\":\"\",\"type\":\"string\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[],\"name\":\"totalSupply\",\"outputs\":[{\"internalType\":\"uint256\",\"name\":\"\",\"type\":\"uint256\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"to\",\"type\":\"address\"},{\"internalType\":\"uint256\",\"name\":\"value\",\"type\":\"uint256\"}],\"name\":\"transfer\",\"outputs\":[{\"internalType\":\"bool\",\"name\":\"\",\"type\":\"bool\"}],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"from\",\"type\":\"address\"},{\"internalType\":\"address\",\"name\":\"to\",\"type\":\"address\"},{\"internalType\":\"uint256\",\"name\":\"value\",\"type\":\"uint256\"}],\"name\":\"transferFrom\",\"outputs\":[{\"internalType\":\"bool\",\"name\":\"\",\"type\":\"bool\"}],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":true,\"internalType\":\"address\",\"name\":\"owner\",\"type\":\"address\"},{\"indexed\":true,\"internalType\":\"address\",\"name\":\"spender\",\"type\":\"address\"},{\"indexed\":false,\"internalType\":\"uint256\",\"name\":\"value\",\"type\":\"uint256\"}],\"name\":\"Approval\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[],\"name\":\"EIP712DomainChanged\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":true,\"internalType\":\"address\",\"name\":\"from\",\"type\":\"address\"},{\"indexed\":true,\"internalType\":\"address\",\"name\":\"to\",\"type\":\"address\"},{\"indexed\":false,\"internalType\":\"uint256\",\"name\":\"value\",\"type\":\"uint256\"}],\"name\":\"Transfer\",\"type\":\"event\"},{\"inputs\":[],\"name\":\"ECDSAInvalidSignature\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"uint256\",\"name\":\"length\",\"type\":\"uint256\"}],\"name\":\"ECDSAInvalidSignatureLength\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"bytes32\",\"name\":\"s\",\"type\":\"bytes32\"}],\"name\":\"ECDSAInvalidSignatureS\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"spender\",\"type\":\"address\"},{\"internalType\":\"uint256\",\"name\":\"allowance\",\"type\":\"uint256\"},{\"internalType\":\"uint256\",\"name\":\"needed\",\"type\":\"uint256\"}],\"name\":\"ERC20InsufficientAllowance\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"sender\",\"type\":\"address\"},{\"internalType\":\"uint256\",\"name\":\"balance\",\"type\":\"uint256\"},{\"internalType\":\"uint256\",\"name\":\"needed\",\"type\":\"uint256\"}],\"name\":\"ERC20InsufficientBalance\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"approver\",\"type\":\"address\"}],\"name\":\"ERC20InvalidApprover\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"receiver\",\"type\":\"address\"}],\"name\":\"ERC20InvalidReceiver\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"sender\",\"type\":\"address\"}],\"name\":\"ERC20InvalidSender\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"spender\",\"type\":\"address\"}],\"name\":\"ERC20InvalidSpender\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"uint256\",\"name\":\"deadline\",\"type\":\"uint256\"}],\"name\":\"ERC2612ExpiredSignature\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"signer\",\"type\":\"address\"},{\"internalType\":\"address\",\"name\":\"owner\",\"type\":\"address\"}],\"name\":\"ERC2612InvalidSigner\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"caller\",\"type\":\"address\"}],\"name\":\"HUDL_NotReserve\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"account\",\"type\":\"address\"},{\"internalType\":\"uint256\",\"name\":\"currentNonce\",\"type\":\"uint256\"}],\"name\":\"InvalidAccountNonce\",\"type\":\"error\"},{\"inputs\":[],\"name\":\"InvalidShortString\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"string\",\"name\":\"str\",\"type\":\"string\"}],\"name\":\"StringTooLong\",\"type\":\"error\"}]",
	ID:  "823cbbe2bf7dfba59593228ba7ad917c43",
}

// HUDL is an auto generated Go binding around an Ethereum contract.
type HUDL struct {
	abi abi.ABI
}

// GetABI returns the ABI associated with this contract binding.
func (c *HUDL) GetABI() abi.ABI {
	return c.abi
}

// NewHUDL creates a new instance of HUDL.
func NewHUDL() *HUDL {
	parsed, err := HUDLMetaData.ParseABI()
	if err != nil {
		panic(errors.New("invalid ABI: " + err.Error()))
	}
	return &HUDL{abi: *parsed}
}

// Instance creates a wrapper for a deployed contract instance at the given address.
// Use this to create the instance object passed to abigen v2 library functions Call, Transact, etc.
func (c *HUDL) Instance(backend bind.ContractBackend, addr common.Address) *bind.BoundContract {
	return bind.NewBoundContract(addr, c.abi, backend, backend, backend)
}

// PackConstructor is the Go binding used to pack the parameters required for
// contract deployment.
//
// Solidity: constructor(address reserve_, (address,uint256)[] genesis) returns()
func (hUDL *HUDL) PackConstructor(reserve_ common.Address, genesis []IHUDLAllocation) []byte {
	enc, err := hUDL.abi.Pack("", reserve_, genesis)
	if err != nil {
		panic(err)
	}
	return enc
}

// PackDOMAINSEPARATOR is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x3644e515.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function DOMAIN_SEPARATOR() view returns(bytes32)
func (hUDL *HUDL) PackDOMAINSEPARATOR() []byte {
	enc, err := hUDL.abi.Pack("DOMAIN_SEPARATOR")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackDOMAINSEPARATOR is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x3644e515.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function DOMAIN_SEPARATOR() view returns(bytes32)
func (hUDL *HUDL) TryPackDOMAINSEPARATOR() ([]byte, error) {
	return hUDL.abi.Pack("DOMAIN_SEPARATOR")
}

// UnpackDOMAINSEPARATOR is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x3644e515.
//
// Solidity: function DOMAIN_SEPARATOR() view returns(bytes32)
func (hUDL *HUDL) UnpackDOMAINSEPARATOR(data []byte) ([32]byte, error) {
	out, err := hUDL.abi.Unpack("DOMAIN_SEPARATOR", data)
	if err != nil {
		return *new([32]byte), err
	}
	out0 := *abi.ConvertType(out[0], new([32]byte)).(*[32]byte)
	return out0, nil
}

// PackAllowance is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xdd62ed3e.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function allowance(address owner, address spender) view returns(uint256)
func (hUDL *HUDL) PackAllowance(owner common.Address, spender common.Address) []byte {
	enc, err := hUDL.abi.Pack("allowance", owner, spender)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackAllowance is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xdd62ed3e.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function allowance(address owner, address spender) view returns(uint256)
func (hUDL *HUDL) TryPackAllowance(owner common.Address, spender common.Address) ([]byte, error) {
	return hUDL.abi.Pack("allowance", owner, spender)
}

// UnpackAllowance is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xdd62ed3e.
//
// Solidity: function allowance(address owner, address spender) view returns(uint256)
func (hUDL *HUDL) UnpackAllowance(data []byte) (*big.Int, error) {
	out, err := hUDL.abi.Unpack("allowance", data)
	if err != nil {
		return new(big.Int), err
	}
	out0 := abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	return out0, nil
}

// PackApprove is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x095ea7b3.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function approve(address spender, uint256 value) returns(bool)
func (hUDL *HUDL) PackApprove(spender common.Address, value *big.Int) []byte {
	enc, err := hUDL.abi.Pack("approve", spender, value)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackApprove is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x095ea7b3.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function approve(address spender, uint256 value) returns(bool)
func (hUDL *HUDL) TryPackApprove(spender common.Address, value *big.Int) ([]byte, error) {
	return hUDL.abi.Pack("approve", spender, value)
}

// UnpackApprove is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x095ea7b3.
//
// Solidity: function approve(address spender, uint256 value) returns(bool)
func (hUDL *HUDL) UnpackApprove(data []byte) (bool, error) {
	out, err := hUDL.abi.Unpack("approve", data)
	if err != nil {
		return *new(bool), err
	}
	out0 := *abi.ConvertType(out[0], new(bool)).(*bool)
	return out0, nil
}

// PackBalanceOf is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x70a08231.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function balanceOf(address account) view returns(uint256)
func (hUDL *HUDL) PackBalanceOf(account common.Address) []byte {
	enc, err := hUDL.abi.Pack("balanceOf", account)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackBalanceOf is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x70a08231.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function balanceOf(address account) view returns(uint256)
func (hUDL *HUDL) TryPackBalanceOf(account common.Address) ([]byte, error) {
	return hUDL.abi.Pack("balanceOf", account)
}

// UnpackBalanceOf is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x70a08231.
//
// Solidity: function balanceOf(address account) view returns(uint256)
func (hUDL *HUDL) UnpackBalanceOf(data []byte) (*big.Int, error) {
	out, err := hUDL.abi.Unpack("balanceOf", data)
	if err != nil {
		return new(big.Int), err
	}
	out0 := abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	return out0, nil
}

// PackBurn is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x42966c68.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function burn(uint256 amount) returns()
func (hUDL *HUDL) PackBurn(amount *big.Int) []byte {
	enc, err := hUDL.abi.Pack("burn", amount)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackBurn is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x42966c68.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function burn(uint256 amount) returns()
func (hUDL *HUDL) TryPackBurn(amount *big.Int) ([]byte, error) {
	return hUDL.abi.Pack("burn", amount)
}

// PackDecimals is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x313ce567.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function decimals() view returns(uint8)
func (hUDL *HUDL) PackDecimals() []byte {
	enc, err := hUDL.abi.Pack("decimals")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackDecimals is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x313ce567.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function decimals() view returns(uint8)
func (hUDL *HUDL) TryPackDecimals() ([]byte, error) {
	return hUDL.abi.Pack("decimals")
}

// UnpackDecimals is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x313ce567.
//
// Solidity: function decimals() view returns(uint8)
func (hUDL *HUDL) UnpackDecimals(data []byte) (uint8, error) {
	out, err := hUDL.abi.Unpack("decimals", data)
	if err != nil {
		return *new(uint8), err
	}
	out0 := *abi.ConvertType(out[0], new(uint8)).(*uint8)
	return out0, nil
}

// PackEip712Domain is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x84b0196e.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function eip712Domain() view returns(bytes1 fields, string name, string version, uint256 chainId, address verifyingContract, bytes32 salt, uint256[] extensions)
func (hUDL *HUDL) PackEip712Domain() []byte {
	enc, err := hUDL.abi.Pack("eip712Domain")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackEip712Domain is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x84b0196e.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function eip712Domain() view returns(bytes1 fields, string name, string version, uint256 chainId, address verifyingContract, bytes32 salt, uint256[] extensions)
func (hUDL *HUDL) TryPackEip712Domain() ([]byte, error) {
	return hUDL.abi.Pack("eip712Domain")
}

// HUDLEip712DomainOutput serves as a container for the return parameters of contract
// method Eip712Domain.
type HUDLEip712DomainOutput struct {
	Fields            [1]byte
	Name              string
	Version           string
	ChainId           *big.Int
	VerifyingContract common.Address
	Salt              [32]byte
	Extensions        []*big.Int
}

// UnpackEip712Domain is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x84b0196e.
//
// Solidity: function eip712Domain() view returns(bytes1 fields, string name, string version, uint256 chainId, address verifyingContract, bytes32 salt, uint256[] extensions)
func (hUDL *HUDL) UnpackEip712Domain(data []byte) (HUDLEip712DomainOutput, error) {
	out, err := hUDL.abi.Unpack("eip712Domain", data)
	outstruct := new(HUDLEip712DomainOutput)
	if err != nil {
		return *outstruct, err
	}
	outstruct.Fields = *abi.ConvertType(out[0], new([1]byte)).(*[1]byte)
	outstruct.Name = *abi.ConvertType(out[1], new(string)).(*string)
	outstruct.Version = *abi.ConvertType(out[2], new(string)).(*string)
	outstruct.ChainId = abi.ConvertType(out[3], new(big.Int)).(*big.Int)
	outstruct.VerifyingContract = *abi.ConvertType(out[4], new(common.Address)).(*common.Address)
	outstruct.Salt = *abi.ConvertType(out[5], new([32]byte)).(*[32]byte)
	outstruct.Extensions = *abi.ConvertType(out[6], new([]*big.Int)).(*[]*big.Int)
	return *outstruct, nil
}

// PackMint is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x40c10f19.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function mint(address to, uint256 amount) returns()
func (hUDL *HUDL) PackMint(to common.Address, amount *big.Int) []byte {
	enc, err := hUDL.abi.Pack("mint", to, amount)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackMint is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x40c10f19.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function mint(address to, uint256 amount) returns()
func (hUDL *HUDL) TryPackMint(to common.Address, amount *big.Int) ([]byte, error) {
	return hUDL.abi.Pack("mint", to, amount)
}

// PackName is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x06fdde03.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function name() view returns(string)
func (hUDL *HUDL) PackName() []byte {
	enc, err := hUDL.abi.Pack("name")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackName is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x06fdde03.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function name() view returns(string)
func (hUDL *HUDL) TryPackName() ([]byte, error) {
	return hUDL.abi.Pack("name")
}

// UnpackName is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x06fdde03.
//
// Solidity: function name() view returns(string)
func (hUDL *HUDL) UnpackName(data []byte) (string, error) {
	out, err := hUDL.abi.Unpack("name", data)
	if err != nil {
		return *new(string), err
	}
	out0 := *abi.ConvertType(out[0], new(string)).(*string)
	return out0, nil
}

// PackNonces is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x7ecebe00.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function nonces(address owner) view returns(uint256)
func (hUDL *HUDL) PackNonces(owner common.Address) []byte {
	enc, err := hUDL.abi.Pack("nonces", owner)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackNonces is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x7ecebe00.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function nonces(address owner) view returns(uint256)
func (hUDL *HUDL) TryPackNonces(owner common.Address) ([]byte, error) {
	return hUDL.abi.Pack("nonces", owner)
}

// UnpackNonces is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x7ecebe00.
//
// Solidity: function nonces(address owner) view returns(uint256)
func (hUDL *HUDL) UnpackNonces(data []byte) (*big.Int, error) {
	out, err := hUDL.abi.Unpack("nonces", data)
	if err != nil {
		return new(big.Int), err
	}
	out0 := abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	return out0, nil
}

// PackPermit is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xd505accf.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function permit(address owner, address spender, uint256 value, uint256 deadline, uint8 v, bytes32 r, bytes32 s) returns()
func (hUDL *HUDL) PackPermit(owner common.Address, spender common.Address, value *big.Int, deadline *big.Int, v uint8, r [32]byte, s [32]byte) []byte {
	enc, err := hUDL.abi.Pack("permit", owner, spender, value, deadline, v, r, s)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackPermit is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xd505accf.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function permit(address owner, address spender, uint256 value, uint256 deadline, uint8 v, bytes32 r, bytes32 s) returns()
func (hUDL *HUDL) TryPackPermit(owner common.Address, spender common.Address, value *big.Int, deadline *big.Int, v uint8, r [32]byte, s [32]byte) ([]byte, error) {
	return hUDL.abi.Pack("permit", owner, spender, value, deadline, v, r, s)
}

// PackReserve is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xcd3293de.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function reserve() view returns(address)
func (hUDL *HUDL) PackReserve() []byte {
	enc, err := hUDL.abi.Pack("reserve")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackReserve is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xcd3293de.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function reserve() view returns(address)
func (hUDL *HUDL) TryPackReserve() ([]byte, error) {
	return hUDL.abi.Pack("reserve")
}

// UnpackReserve is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xcd3293de.
//
// Solidity: function reserve() view returns(address)
func (hUDL *HUDL) UnpackReserve(data []byte) (common.Address, error) {
	out, err := hUDL.abi.Unpack("reserve", data)
	if err != nil {
		return *new(common.Address), err
	}
	out0 := *abi.ConvertType(out[0], new(common.Address)).(*common.Address)
	return out0, nil
}

// PackSymbol is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x95d89b41.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function symbol() view returns(string)
func (hUDL *HUDL) PackSymbol() []byte {
	enc, err := hUDL.abi.Pack("symbol")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackSymbol is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x95d89b41.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function symbol() view returns(string)
func (hUDL *HUDL) TryPackSymbol() ([]byte, error) {
	return hUDL.abi.Pack("symbol")
}

// UnpackSymbol is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x95d89b41.
//
// Solidity: function symbol() view returns(string)
func (hUDL *HUDL) UnpackSymbol(data []byte) (string, error) {
	out, err := hUDL.abi.Unpack("symbol", data)
	if err != nil {
		return *new(string), err
	}
	out0 := *abi.ConvertType(out[0], new(string)).(*string)
	return out0, nil
}

// PackTotalSupply is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x18160ddd.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function totalSupply() view returns(uint256)
func (hUDL *HUDL) PackTotalSupply() []byte {
	enc, err := hUDL.abi.Pack("totalSupply")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackTotalSupply is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x18160ddd.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function totalSupply() view returns(uint256)
func (hUDL *HUDL) TryPackTotalSupply() ([]byte, error) {
	return hUDL.abi.Pack("totalSupply")
}

// UnpackTotalSupply is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x18160ddd.
//
// Solidity: function totalSupply() view returns(uint256)
func (hUDL *HUDL) UnpackTotalSupply(data []byte) (*big.Int, error) {
	out, err := hUDL.abi.Unpack("totalSupply", data)
	if err != nil {
		return new(big.Int), err
	}
	out0 := abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	return out0, nil
}

// PackTransfer is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xa9059cbb.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function transfer(address to, uint256 value) returns(bool)
func (hUDL *HUDL) PackTransfer(to common.Address, value *big.Int) []byte {
	enc, err := hUDL.abi.Pack("transfer", to, value)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackTransfer is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xa9059cbb.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function transfer(address to, uint256 value) returns(bool)
func (hUDL *HUDL) TryPackTransfer(to common.Address, value *big.Int) ([]byte, error) {
	return hUDL.abi.Pack("transfer", to, value)
}

// UnpackTransfer is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xa9059cbb.
//
// Solidity: function transfer(address to, uint256 value) returns(bool)
func (hUDL *HUDL) UnpackTransfer(data []byte) (bool, error) {
	out, err := hUDL.abi.Unpack("transfer", data)
	if err != nil {
		return *new(bool), err
	}
	out0 := *abi.ConvertType(out[0], new(bool)).(*bool)
	return out0, nil
}

// PackTransferFrom is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x23b872dd.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function transferFrom(address from, address to, uint256 value) returns(bool)
func (hUDL *HUDL) PackTransferFrom(from common.Address, to common.Address, value *big.Int) []byte {
	enc, err := hUDL.abi.Pack("transferFrom", from, to, value)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackTransferFrom is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x23b872dd.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function transferFrom(address from, address to, uint256 value) returns(bool)
func (hUDL *HUDL) TryPackTransferFrom(from common.Address, to common.Address, value *big.Int) ([]byte, error) {
	return hUDL.abi.Pack("transferFrom", from, to, value)
}

// UnpackTransferFrom is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x23b872dd.
//
// Solidity: function transferFrom(address from, address to, uint256 value) returns(bool)
func (hUDL *HUDL) UnpackTransferFrom(data []byte) (bool, error) {
	out, err := hUDL.abi.Unpack("transferFrom", data)
	if err != nil {
		return *new(bool), err
	}
	out0 := *abi.ConvertType(out[0], new(bool)).(*bool)
	return out0, nil
}

// HUDLApproval represents a Approval event raised by the HUDL contract.
type HUDLApproval struct {
	Owner   common.Address
	Spender common.Address
	Value   *big.Int
	Raw     *types.Log // Blockchain specific contextual infos
}

const HUDLApprovalEventName = "Approval"

// ContractEventName returns the user-defined event name.
func (HUDLApproval) ContractEventName() string {
	return HUDLApprovalEventName
}

// UnpackApprovalEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event Approval(address indexed owner, address indexed spender, uint256 value)
func (hUDL *HUDL) UnpackApprovalEvent(log *types.Log) (*HUDLApproval, error) {
	event := "Approval"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != hUDL.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(HUDLApproval)
	if len(log.Data) > 0 {
		if err := hUDL.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range hUDL.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// HUDLEIP712DomainChanged represents a EIP712DomainChanged event raised by the HUDL contract.
type HUDLEIP712DomainChanged struct {
	Raw *types.Log // Blockchain specific contextual infos
}

const HUDLEIP712DomainChangedEventName = "EIP712DomainChanged"

// ContractEventName returns the user-defined event name.
func (HUDLEIP712DomainChanged) ContractEventName() string {
	return HUDLEIP712DomainChangedEventName
}

// UnpackEIP712DomainChangedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event EIP712DomainChanged()
func (hUDL *HUDL) UnpackEIP712DomainChangedEvent(log *types.Log) (*HUDLEIP712DomainChanged, error) {
	event := "EIP712DomainChanged"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != hUDL.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(HUDLEIP712DomainChanged)
	if len(log.Data) > 0 {
		if err := hUDL.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range hUDL.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// HUDLTransfer represents a Transfer event raised by the HUDL contract.
type HUDLTransfer struct {
	From  common.Address
	To    common.Address
	Value *big.Int
	Raw   *types.Log // Blockchain specific contextual infos
}

const HUDLTransferEventName = "Transfer"

// ContractEventName returns the user-defined event name.
func (HUDLTransfer) ContractEventName() string {
	return HUDLTransferEventName
}

// UnpackTransferEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event Transfer(address indexed from, address indexed to, uint256 value)
func (hUDL *HUDL) UnpackTransferEvent(log *types.Log) (*HUDLTransfer, error) {
	event := "Transfer"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != hUDL.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(HUDLTransfer)
	if len(log.Data) > 0 {
		if err := hUDL.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range hUDL.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// UnpackError attempts to decode the provided error data using user-defined
// error definitions.
func (hUDL *HUDL) UnpackError(raw []byte) (any, error) {
	if bytes.Equal(raw[:4], hUDL.abi.Errors["ECDSAInvalidSignature"].ID.Bytes()[:4]) {
		return hUDL.UnpackECDSAInvalidSignatureError(raw[4:])
	}
	if bytes.Equal(raw[:4], hUDL.abi.Errors["ECDSAInvalidSignatureLength"].ID.Bytes()[:4]) {
		return hUDL.UnpackECDSAInvalidSignatureLengthError(raw[4:])
	}
	if bytes.Equal(raw[:4], hUDL.abi.Errors["ECDSAInvalidSignatureS"].ID.Bytes()[:4]) {
		return hUDL.UnpackECDSAInvalidSignatureSError(raw[4:])
	}
	if bytes.Equal(raw[:4], hUDL.abi.Errors["ERC20InsufficientAllowance"].ID.Bytes()[:4]) {
		return hUDL.UnpackERC20InsufficientAllowanceError(raw[4:])
	}
	if bytes.Equal(raw[:4], hUDL.abi.Errors["ERC20InsufficientBalance"].ID.Bytes()[:4]) {
		return hUDL.UnpackERC20InsufficientBalanceError(raw[4:])
	}
	if bytes.Equal(raw[:4], hUDL.abi.Errors["ERC20InvalidApprover"].ID.Bytes()[:4]) {
		return hUDL.UnpackERC20InvalidApproverError(raw[4:])
	}
	if bytes.Equal(raw[:4], hUDL.abi.Errors["ERC20InvalidReceiver"].ID.Bytes()[:4]) {
		return hUDL.UnpackERC20InvalidReceiverError(raw[4:])
	}
	if bytes.Equal(raw[:4], hUDL.abi.Errors["ERC20InvalidSender"].ID.Bytes()[:4]) {
		return hUDL.UnpackERC20InvalidSenderError(raw[4:])
	}
	if bytes.Equal(raw[:4], hUDL.abi.Errors["ERC20InvalidSpender"].ID.Bytes()[:4]) {
		return hUDL.UnpackERC20InvalidSpenderError(raw[4:])
	}
	if bytes.Equal(raw[:4], hUDL.abi.Errors["ERC2612ExpiredSignature"].ID.Bytes()[:4]) {
		return hUDL.UnpackERC2612ExpiredSignatureError(raw[4:])
	}
	if bytes.Equal(raw[:4], hUDL.abi.Errors["ERC2612InvalidSigner"].ID.Bytes()[:4]) {
		return hUDL.UnpackERC2612InvalidSignerError(raw[4:])
	}
	if bytes.Equal(raw[:4], hUDL.abi.Errors["HUDL_NotReserve"].ID.Bytes()[:4]) {
		return hUDL.UnpackHUDLNotReserveError(raw[4:])
	}
	if bytes.Equal(raw[:4], hUDL.abi.Errors["InvalidAccountNonce"].ID.Bytes()[:4]) {
		return hUDL.UnpackInvalidAccountNonceError(raw[4:])
	}
	if bytes.Equal(raw[:4], hUDL.abi.Errors["InvalidShortString"].ID.Bytes()[:4]) {
		return hUDL.UnpackInvalidShortStringError(raw[4:])
	}
	if bytes.Equal(raw[:4], hUDL.abi.Errors["StringTooLong"].ID.Bytes()[:4]) {
		return hUDL.UnpackStringTooLongError(raw[4:])
	}
	return nil, errors.New("Unknown error")
}

// HUDLECDSAInvalidSignature represents a ECDSAInvalidSignature error raised by the HUDL contract.
type HUDLECDSAInvalidSignature struct {
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error ECDSAInvalidSignature()
func HUDLECDSAInvalidSignatureErrorID() common.Hash {
	return common.HexToHash("0xf645eedf0193584640b6b90cb9477e4c95b98636c148a891d4c0a146dc46e75a")
}

// UnpackECDSAInvalidSignatureError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error ECDSAInvalidSignature()
func (hUDL *HUDL) UnpackECDSAInvalidSignatureError(raw []byte) (*HUDLECDSAInvalidSignature, error) {
	out := new(HUDLECDSAInvalidSignature)
	if err := hUDL.abi.UnpackIntoInterface(out, "ECDSAInvalidSignature", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// HUDLECDSAInvalidSignatureLength represents a ECDSAInvalidSignatureLength error raised by the HUDL contract.
type HUDLECDSAInvalidSignatureLength struct {
	Length *big.Int
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error ECDSAInvalidSignatureLength(uint256 length)
func HUDLECDSAInvalidSignatureLengthErrorID() common.Hash {
	return common.HexToHash("0xfce698f7e8e5342cd615f641317bc45fe7e1e4a8b0a14dd1383ff8dc9c41917f")
}

// UnpackECDSAInvalidSignatureLengthError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error ECDSAInvalidSignatureLength(uint256 length)
func (hUDL *HUDL) UnpackECDSAInvalidSignatureLengthError(raw []byte) (*HUDLECDSAInvalidSignatureLength, error) {
	out := new(HUDLECDSAInvalidSignatureLength)
	if err := hUDL.abi.UnpackIntoInterface(out, "ECDSAInvalidSignatureLength", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// HUDLECDSAInvalidSignatureS represents a ECDSAInvalidSignatureS error raised by the HUDL contract.
type HUDLECDSAInvalidSignatureS struct {
	S [32]byte
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error ECDSAInvalidSignatureS(bytes32 s)
func HUDLECDSAInvalidSignatureSErrorID() common.Hash {
	return common.HexToHash("0xd78bce0cccb935155ed6428d1c13e50b7f3550fd2b66b9fe266006fea4a5e1eb")
}

// UnpackECDSAInvalidSignatureSError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error ECDSAInvalidSignatureS(bytes32 s)
func (hUDL *HUDL) UnpackECDSAInvalidSignatureSError(raw []byte) (*HUDLECDSAInvalidSignatureS, error) {
	out := new(HUDLECDSAInvalidSignatureS)
	if err := hUDL.abi.UnpackIntoInterface(out, "ECDSAInvalidSignatureS", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// HUDLERC20InsufficientAllowance represents a ERC20InsufficientAllowance error raised by the HUDL contract.
type HUDLERC20InsufficientAllowance struct {
	Spender   common.Address
	Allowance *big.Int
	Needed    *big.Int
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error ERC20InsufficientAllowance(address spender, uint256 allowance, uint256 needed)
func HUDLERC20InsufficientAllowanceErrorID() common.Hash {
	return common.HexToHash("0xfb8f41b23e99d2101d86da76cdfa87dd51c82ed07d3cb62cbc473e469dbc75c3")
}

// UnpackERC20InsufficientAllowanceError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error ERC20InsufficientAllowance(address spender, uint256 allowance, uint256 needed)
func (hUDL *HUDL) UnpackERC20InsufficientAllowanceError(raw []byte) (*HUDLERC20InsufficientAllowance, error) {
	out := new(HUDLERC20InsufficientAllowance)
	if err := hUDL.abi.UnpackIntoInterface(out, "ERC20InsufficientAllowance", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// HUDLERC20InsufficientBalance represents a ERC20InsufficientBalance error raised by the HUDL contract.
type HUDLERC20InsufficientBalance struct {
	Sender  common.Address
	Balance *big.Int
	Needed  *big.Int
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error ERC20InsufficientBalance(address sender, uint256 balance, uint256 needed)
func HUDLERC20InsufficientBalanceErrorID() common.Hash {
	return common.HexToHash("0xe450d38cd8d9f7d95077d567d60ed49c7254716e6ad08fc9872816c97e0ffec6")
}

// UnpackERC20InsufficientBalanceError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error ERC20InsufficientBalance(address sender, uint256 balance, uint256 needed)
func (hUDL *HUDL) UnpackERC20InsufficientBalanceError(raw []byte) (*HUDLERC20InsufficientBalance, error) {
	out := new(HUDLERC20InsufficientBalance)
	if err := hUDL.abi.UnpackIntoInterface(out, "ERC20InsufficientBalance", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// HUDLERC20InvalidApprover represents a ERC20InvalidApprover error raised by the HUDL contract.
type HUDLERC20InvalidApprover struct {
	Approver common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error ERC20InvalidApprover(address approver)
func HUDLERC20InvalidApproverErrorID() common.Hash {
	return common.HexToHash("0xe602df05cc75712490294c6c104ab7c17f4030363910a7a2626411c6d3118847")
}

// UnpackERC20InvalidApproverError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error ERC20InvalidApprover(address approver)
func (hUDL *HUDL) UnpackERC20InvalidApproverError(raw []byte) (*HUDLERC20InvalidApprover, error) {
	out := new(HUDLERC20InvalidApprover)
	if err := hUDL.abi.UnpackIntoInterface(out, "ERC20InvalidApprover", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// HUDLERC20InvalidReceiver represents a ERC20InvalidReceiver error raised by the HUDL contract.
type HUDLERC20InvalidReceiver struct {
	Receiver common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error ERC20InvalidReceiver(address receiver)
func HUDLERC20InvalidReceiverErrorID() common.Hash {
	return common.HexToHash("0xec442f055133b72f3b2f9f0bb351c406b178527de2040a7d1feb4e058771f613")
}

// UnpackERC20InvalidReceiverError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error ERC20InvalidReceiver(address receiver)
func (hUDL *HUDL) UnpackERC20InvalidReceiverError(raw []byte) (*HUDLERC20InvalidReceiver, error) {
	out := new(HUDLERC20InvalidReceiver)
	if err := hUDL.abi.UnpackIntoInterface(out, "ERC20InvalidReceiver", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// HUDLERC20InvalidSender represents a ERC20InvalidSender error raised by the HUDL contract.
type HUDLERC20InvalidSender struct {
	Sender common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error ERC20InvalidSender(address sender)
func HUDLERC20InvalidSenderErrorID() common.Hash {
	return common.HexToHash("0x96c6fd1edd0cd6ef7ff0ecc0facdf53148dc0048b57fe58af65755250a7a96bd")
}

// UnpackERC20InvalidSenderError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error ERC20InvalidSender(address sender)
func (hUDL *HUDL) UnpackERC20InvalidSenderError(raw []byte) (*HUDLERC20InvalidSender, error) {
	out := new(HUDLERC20InvalidSender)
	if err := hUDL.abi.UnpackIntoInterface(out, "ERC20InvalidSender", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// HUDLERC20InvalidSpender represents a ERC20InvalidSpender error raised by the HUDL contract.
type HUDLERC20InvalidSpender struct {
	Spender common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error ERC20InvalidSpender(address spender)
func HUDLERC20InvalidSpenderErrorID() common.Hash {
	return common.HexToHash("0x94280d62c347d8d9f4d59a76ea321452406db88df38e0c9da304f58b57b373a2")
}

// UnpackERC20InvalidSpenderError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error ERC20InvalidSpender(address spender)
func (hUDL *HUDL) UnpackERC20InvalidSpenderError(raw []byte) (*HUDLERC20InvalidSpender, error) {
	out := new(HUDLERC20InvalidSpender)
	if err := hUDL.abi.UnpackIntoInterface(out, "ERC20InvalidSpender", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// HUDLERC2612ExpiredSignature represents a ERC2612ExpiredSignature error raised by the HUDL contract.
type HUDLERC2612ExpiredSignature struct {
	Deadline *big.Int
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error ERC2612ExpiredSignature(uint256 deadline)
func HUDLERC2612ExpiredSignatureErrorID() common.Hash {
	return common.HexToHash("0x627913023c184eaad13735d5a3d2657ae76ec9a872a70e0fc57522ef1a114d58")
}

// UnpackERC2612ExpiredSignatureError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error ERC2612ExpiredSignature(uint256 deadline)
func (hUDL *HUDL) UnpackERC2612ExpiredSignatureError(raw []byte) (*HUDLERC2612ExpiredSignature, error) {
	out := new(HUDLERC2612ExpiredSignature)
	if err := hUDL.abi.UnpackIntoInterface(out, "ERC2612ExpiredSignature", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// HUDLERC2612InvalidSigner represents a ERC2612InvalidSigner error raised by the HUDL contract.
type HUDLERC2612InvalidSigner struct {
	Signer common.Address
	Owner  common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error ERC2612InvalidSigner(address signer, address owner)
func HUDLERC2612InvalidSignerErrorID() common.Hash {
	return common.HexToHash("0x4b800e463b323b1d856edf9dec70329a639d13874a57f5c28219ff57128756db")
}

// UnpackERC2612InvalidSignerError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error ERC2612InvalidSigner(address signer, address owner)
func (hUDL *HUDL) UnpackERC2612InvalidSignerError(raw []byte) (*HUDLERC2612InvalidSigner, error) {
	out := new(HUDLERC2612InvalidSigner)
	if err := hUDL.abi.UnpackIntoInterface(out, "ERC2612InvalidSigner", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// HUDLHUDLNotReserve represents a HUDL_NotReserve error raised by the HUDL contract.
type HUDLHUDLNotReserve struct {
	Caller common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error HUDL_NotReserve(address caller)
func HUDLHUDLNotReserveErrorID() common.Hash {
	return common.HexToHash("0x3b20718b0087d8808994895cc451acd9a6be537229e0dd0297b32fed58630bae")
}

// UnpackHUDLNotReserveError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error HUDL_NotReserve(address caller)
func (hUDL *HUDL) UnpackHUDLNotReserveError(raw []byte) (*HUDLHUDLNotReserve, error) {
	out := new(HUDLHUDLNotReserve)
	if err := hUDL.abi.UnpackIntoInterface(out, "HUDL_NotReserve", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// HUDLInvalidAccountNonce represents a InvalidAccountNonce error raised by the HUDL contract.
type HUDLInvalidAccountNonce struct {
	Account      common.Address
	CurrentNonce *big.Int
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error InvalidAccountNonce(address account, uint256 currentNonce)
func HUDLInvalidAccountNonceErrorID() common.Hash {
	return common.HexToHash("0x752d88c0de02638abf10e8e31861e4c68dc1f3a1e7d840e580683f2c282bfc7a")
}

// UnpackInvalidAccountNonceError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error InvalidAccountNonce(address account, uint256 currentNonce)
func (hUDL *HUDL) UnpackInvalidAccountNonceError(raw []byte) (*HUDLInvalidAccountNonce, error) {
	out := new(HUDLInvalidAccountNonce)
	if err := hUDL.abi.UnpackIntoInterface(out, "InvalidAccountNonce", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// HUDLInvalidShortString represents a InvalidShortString error raised by the HUDL contract.
type HUDLInvalidShortString struct {
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error InvalidShortString()
func HUDLInvalidShortStringErrorID() common.Hash {
	return common.HexToHash("0xb3512b0c6163e5f0bafab72bb631b9d58cd7a731b082f910338aa21c83d5c274")
}

// UnpackInvalidShortStringError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error InvalidShortString()
func (hUDL *HUDL) UnpackInvalidShortStringError(raw []byte) (*HUDLInvalidShortString, error) {
	out := new(HUDLInvalidShortString)
	if err := hUDL.abi.UnpackIntoInterface(out, "InvalidShortString", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// HUDLStringTooLong represents a StringTooLong error raised by the HUDL contract.
type HUDLStringTooLong struct {
	Str string
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error StringTooLong(string str)
func HUDLStringTooLongErrorID() common.Hash {
	return common.HexToHash("0x305a27a93f8e33b7392df0a0f91d6fc63847395853c45991eec52dbf24d72381")
}

// UnpackStringTooLongError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error StringTooLong(string str)
func (hUDL *HUDL) UnpackStringTooLongError(raw []byte) (*HUDLStringTooLong, error) {
	out := new(HUDLStringTooLong)
	if err := hUDL.abi.UnpackIntoInterface(out, "StringTooLong", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// MediaNodeKeyMetaData contains all meta data concerning the MediaNodeKey contract.
var MediaNodeKeyMetaData = bind.MetaData{
	ABI: "[{\"inputs\":[{\"internalType\":\"contractIERC20\",\"name\":\"hudl\",\"type\":\"address\"},{\"internalType\":\"address\",\"name\":\"reserve\",\"type\":\"address\"},{\"internalType\":\"contractIPoolManager\",\"name\":\"poolManager\",\"type\":\"address\"},{\"internalType\":\"address\",\"name\":\"authority\",\"type\":\"address\"},{\"internalType\":\"string\",\"name\":\"uri_\",\"type\":\"string\"}],\"stateMutability\":\"nonpayable\",\"type\":\"constructor\"},{\"inputs\":[],\"name\":\"authority\",\"outputs\":[{\"internalType\":\"address\",\"name\":\"\",\"type\":\"address\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"account\",\"type\":\"address\"},{\"internalType\":\"uint256\",\"name\":\"id\",\"type\":\"uint256\"}],\"name\":\"balanceOf\",\"outputs\":[{\"internalType\":\"uint256\",\"name\":\"\",\"type\":\"uint256\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address[]\",\"name\":\"accounts\",\"type\":\"address[]\"},{\"internalType\":\"uint256[]\",\"name\":\"ids\",\"type\":\"uint256[]\"}],\"name\":\"balanceOfBatch\",\"outputs\":[{\"internalType\":\"uint256[]\",\"name\":\"\",\"type\":\"uint256[]\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"bytes3\",\"name\":\"region\",\"type\":\"bytes3\"},{\"internalType\":\"uint256\",\"name\":\"count\",\"type\":\"uint256\"},{\"internalType\":\"uint256\",\"name\":\"maxCost\",\"type\":\"uint256\"},{\"internalType\":\"address\",\"name\":\"to\",\"type\":\"address\"}],\"name\":\"buy\",\"outputs\":[{\"internalType\":\"uint256\",\"name\":\"firstId\",\"type\":\"uint256\"}],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"account\",\"type\":\"address\"},{\"internalType\":\"address\",\"name\":\"operator\",\"type\":\"address\"}],\"name\":\"isApprovedForAll\",\"outputs\":[{\"internalType\":\"bool\",\"name\":\"\",\"type\":\"bool\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[],\"name\":\"isConsumingScheduledOp\",\"outputs\":[{\"internalType\":\"bytes4\",\"name\":\"\",\"type\":\"bytes4\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"uint256\",\"name\":\"id\",\"type\":\"uint256\"}],\"name\":\"keyOf\",\"outputs\":[{\"components\":[{\"internalType\":\"address\",\"name\":\"owner\",\"type\":\"address\"},{\"internalType\":\"uint32\",\"name\":\"pool\",\"type\":\"uint32\"},{\"internalType\":\"uint40\",\"name\":\"epoch\",\"type\":\"uint40\"},{\"internalType\":\"bytes3\",\"name\":\"region\",\"type\":\"bytes3\"}],\"internalType\":\"structIMediaNodeKey.Key\",\"name\":\"\",\"type\":\"tuple\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"account\",\"type\":\"address\"},{\"internalType\":\"uint256\",\"name\":\"fromId\",\"type\":\"uint256\"},{\"internalType\":\"uint256\",\"name\":\"toId\",\"type\":\"uint256\"}],\"name\":\"keysOf\",\"outputs\":[{\"internalType\":\"uint256[]\",\"name\":\"ids\",\"type\":\"uint256[]\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"uint256[]\",\"name\":\"ids\",\"type\":\"uint256[]\"},{\"internalType\":\"address\",\"name\":\"owner\",\"type\":\"address\"},{\"internalType\":\"uint32\",\"name\":\"pool\",\"type\":\"uint32\"},{\"internalType\":\"uint64\",\"name\":\"epoch\",\"type\":\"uint64\"}],\"name\":\"markDelegated\",\"outputs\":[],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"uint256[]\",\"name\":\"ids\",\"type\":\"uint256[]\"},{\"internalType\":\"address\",\"name\":\"owner\",\"type\":\"address\"},{\"internalType\":\"uint64\",\"name\":\"availableFrom\",\"type\":\"uint64\"}],\"name\":\"markUndelegated\",\"outputs\":[{\"internalType\":\"uint32[]\",\"name\":\"pools\",\"type\":\"uint32[]\"},{\"internalType\":\"uint64[]\",\"name\":\"epochs\",\"type\":\"uint64[]\"}],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"uint256\",\"name\":\"id\",\"type\":\"uint256\"}],\"name\":\"ownerOf\",\"outputs\":[{\"internalType\":\"address\",\"name\":\"\",\"type\":\"address\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"from\",\"type\":\"address\"},{\"internalType\":\"address\",\"name\":\"to\",\"type\":\"address\"},{\"internalType\":\"uint256[]\",\"name\":\"ids\",\"type\":\"uint256[]\"},{\"internalType\":\"uint256[]\",\"name\":\"values\",\"type\":\"uint256[]\"},{\"internalType\":\"bytes\",\"name\":\"data\",\"type\":\"bytes\"}],\"name\":\"safeBatchTransferFrom\",\"outputs\":[],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"from\",\"type\":\"address\"},{\"internalType\":\"address\",\"name\":\"to\",\"type\":\"address\"},{\"internalType\":\"uint256\",\"name\":\"id\",\"type\":\"uint256\"},{\"internalType\":\"uint256\",\"name\":\"value\",\"type\":\"uint256\"},{\"internalType\":\"bytes\",\"name\":\"data\",\"type\":\"bytes\"}],\"name\":\"safeTransferFrom\",\"outputs\":[],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"bytes3\",\"name\":\"region\",\"type\":\"bytes3\"}],\"name\":\"saleOf\",\"outputs\":[{\"components\":[{\"internalType\":\"uint128\",\"name\":\"price\",\"type\":\"uint128\"},{\"internalType\":\"uint64\",\"name\":\"remaining\",\"type\":\"uint64\"}],\"internalType\":\"structIMediaNodeKey.Sale\",\"name\":\"\",\"type\":\"tuple\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"operator\",\"type\":\"address\"},{\"internalType\":\"bool\",\"name\":\"approved\",\"type\":\"bool\"}],\"name\":\"setApprovalForAll\",\"outputs\":[],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"newAuthority\",\"type\":\"address\"}],\"name\":\"setAuthority\",\"outputs\":[],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"bytes3\",\"name\":\"region\",\"type\":\"bytes3\"},{\"internalType\":\"uint128\",\"name\":\"price\",\"type\":\"uint128\"},{\"internalType\":\"uint64\",\"name\":\"remaining\",\"type\":\"uint64\"}],\"name\":\"setSale\",\"outputs\":[],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"bytes4\",\"name\":\"interfaceId\",\"type\":\"bytes4\"}],\"name\":\"supportsInterface\",\"outputs\":[{\"internalType\":\"bool\",\"name\":\"\",\"type\":\"bool\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[],\"name\":\"totalSupply\",\"outputs\":[{\"internalType\":\"uint256\",\"name\":\"\",\"type\":\"uint256\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"uint256\",\"name\":\"\",\"type\":\"uint256\"}],\"name\":\"uri\",\"outputs\":[{\"internalType\":\"string\",\"name\":\"\",\"type\":\"string\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":true,\"internalType\":\"address\",\"name\":\"account\",\"type\":\"address\"},{\"indexed\":true,\"internalType\":\"address\",\"name\":\"operator\",\"type\":\"address\"},{\"indexed\":false,\"internalType\":\"bool\",\"name\":\"approved\",\"type\":\"bool\"}],\"name\":\"ApprovalForAll\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":false,\"internalType\":\"address\",\"name\":\"authority\",\"type\":\"address\"}],\"name\":\"AuthorityUpdated\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":true,\"internalType\":\"address\",\"name\":\"buyer\",\"type\":\"address\"},{\"indexed\":true,\"internalType\":\"address\",\"name\":\"to\",\"type\":\"address\"},{\"indexed\":true,\"internalType\":\"bytes3\",\"name\":\"region\",\"type\":\"bytes3\"},{\"indexed\":false,\"internalType\":\"uint256\",\"name\":\"firstId\",\"type\":\"uint256\"},{\"indexed\":false,\"internalType\":\"uint256\",\"name\":\"count\",\"type\":\"uint256\"},{\"indexed\":false,\"internalType\":\"uint256\",\"name\":\"cost\",\"type\":\"uint256\"}],\"name\":\"KeyBought\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":true,\"internalType\":\"bytes3\",\"name\":\"region\",\"type\":\"bytes3\"},{\"indexed\":false,\"internalType\":\"uint128\",\"name\":\"price\",\"type\":\"uint128\"},{\"indexed\":false,\"internalType\":\"uint64\",\"name\":\"remaining\",\"type\":\"uint64\"}],\"name\":\"SaleSet\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":true,\"internalType\":\"address\",\"name\":\"operator\",\"type\":\"address\"},{\"indexed\":true,\"internalType\":\"address\",\"name\":\"from\",\"type\":\"address\"},{\"indexed\":true,\"internalType\":\"address\",\"name\":\"to\",\"type\":\"address\"},{\"indexed\":false,\"internalType\":\"uint256[]\",\"name\":\"ids\",\"type\":\"uint256[]\"},{\"indexed\":false,\"internalType\":\"uint256[]\",\"name\":\"values\",\"type\":\"uint256[]\"}],\"name\":\"TransferBatch\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":true,\"internalType\":\"address\",\"name\":\"operator\",\"type\":\"address\"},{\"indexed\":true,\"internalType\":\"address\",\"name\":\"from\",\"type\":\"address\"},{\"indexed\":true,\"internalType\":\"address\",\"name\":\"to\",\"type\":\"address\"},{\"indexed\":false,\"internalType\":\"uint256\",\"name\":\"id\",\"type\":\"uint256\"},{\"indexed\":false,\"internalType\":\"uint256\",\"name\":\"value\",\"type\":\"uint256\"}],\"name\":\"TransferSingle\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":false,\"internalType\":\"string\",\"name\":\"value\",\"type\":\"string\"},{\"indexed\":true,\"internalType\":\"uint256\",\"name\":\"id\",\"type\":\"uint256\"}],\"name\":\"URI\",\"type\":\"event\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"authority\",\"type\":\"address\"}],\"name\":\"AccessManagedInvalidAuthority\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"caller\",\"type\":\"address\"},{\"internalType\":\"uint32\",\"name\":\"delay\",\"type\":\"uint32\"}],\"name\":\"AccessManagedRequiredDelay\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"caller\",\"type\":\"address\"}],\"name\":\"AccessManagedUnauthorized\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"sender\",\"type\":\"address\"},{\"internalType\":\"uint256\",\"name\":\"balance\",\"type\":\"uint256\"},{\"internalType\":\"uint256\",\"name\":\"needed\",\"type\":\"uint256\"},{\"internalType\":\"uint256\",\"name\":\"tokenId\",\"type\":\"uint256\"}],\"name\":\"ERC1155InsufficientBalance\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"approver\",\"type\":\"address\"}],\"name\":\"ERC1155InvalidApprover\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"uint256\",\"name\":\"idsLength\",\"type\":\"uint256\"},{\"internalType\":\"uint256\",\"name\":\"valuesLength\",\"type\":\"uint256\"}],\"name\":\"ERC1155InvalidArrayLength\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"operator\",\"type\":\"address\"}],\"name\":\"ERC1155InvalidOperator\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"receiver\",\"type\":\"address\"}],\"name\":\"ERC1155InvalidReceiver\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"sender\",\"type\":\"address\"}],\"name\":\"ERC1155InvalidSender\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"operator\",\"type\":\"address\"},{\"internalType\":\"address\",\"name\":\"owner\",\"type\":\"address\"}],\"name\":\"ERC1155MissingApprovalForAll\",\"type\":\"error\"},{\"inputs\":[],\"name\":\"MediaNodeKey_BuysNothing\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"uint256\",\"name\":\"id\",\"type\":\"uint256\"},{\"internalType\":\"uint32\",\"name\":\"pool\",\"type\":\"uint32\"}],\"name\":\"MediaNodeKey_Delegated\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"uint256\",\"name\":\"id\",\"type\":\"uint256\"}],\"name\":\"MediaNodeKey_NoSuchKey\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"uint256\",\"name\":\"id\",\"type\":\"uint256\"},{\"internalType\":\"uint256\",\"name\":\"amount\",\"type\":\"uint256\"}],\"name\":\"MediaNodeKey_NotOne\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"uint256\",\"name\":\"id\",\"type\":\"uint256\"},{\"internalType\":\"address\",\"name\":\"account\",\"type\":\"address\"},{\"internalType\":\"address\",\"name\":\"owner\",\"type\":\"address\"}],\"name\":\"MediaNodeKey_NotOwner\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"caller\",\"type\":\"address\"}],\"name\":\"MediaNodeKey_NotPoolManager\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"bytes3\",\"name\":\"region\",\"type\":\"bytes3\"},{\"internalType\":\"uint256\",\"name\":\"wanted\",\"type\":\"uint256\"},{\"internalType\":\"uint256\",\"name\":\"remaining\",\"type\":\"uint256\"}],\"name\":\"MediaNodeKey_SoldOut\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"uint256\",\"name\":\"cost\",\"type\":\"uint256\"},{\"internalType\":\"uint256\",\"name\":\"maxCost\",\"type\":\"uint256\"}],\"name\":\"MediaNodeKey_TooDear\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"uint256\",\"name\":\"id\",\"type\":\"uint256\"},{\"internalType\":\"uint64\",\"name\":\"epoch\",\"type\":\"uint64\"},{\"internalType\":\"uint64\",\"name\":\"until\",\"type\":\"uint64\"}],\"name\":\"MediaNodeKey_Unbonding\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"uint8\",\"name\":\"bits\",\"type\":\"uint8\"},{\"internalType\":\"uint256\",\"name\":\"value\",\"type\":\"uint256\"}],\"name\":\"SafeCastOverflowedUintDowncast\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"token\",\"type\":\"address\"}],\"name\":\"SafeERC20FailedOperation\",\"type\":\"error\"}]",
	ID:  "c8ca2b9d3c931f7b934b088d53b0f56e39",
}

// MediaNodeKey is an auto generated Go binding around an Ethereum contract.
type MediaNodeKey struct {
	abi abi.ABI
}

// GetABI returns the ABI associated with this contract binding.
func (c *MediaNodeKey) GetABI() abi.ABI {
	return c.abi
}

// NewMediaNodeKey creates a new instance of MediaNodeKey.
func NewMediaNodeKey() *MediaNodeKey {
	parsed, err := MediaNodeKeyMetaData.ParseABI()
	if err != nil {
		panic(errors.New("invalid ABI: " + err.Error()))
	}
	return &MediaNodeKey{abi: *parsed}
}

// Instance creates a wrapper for a deployed contract instance at the given address.
// Use this to create the instance object passed to abigen v2 library functions Call, Transact, etc.
func (c *MediaNodeKey) Instance(backend bind.ContractBackend, addr common.Address) *bind.BoundContract {
	return bind.NewBoundContract(addr, c.abi, backend, backend, backend)
}

// PackConstructor is the Go binding used to pack the parameters required for
// contract deployment.
//
// Solidity: constructor(address hudl, address reserve, address poolManager, address authority, string uri_) returns()
func (mediaNodeKey *MediaNodeKey) PackConstructor(hudl common.Address, reserve common.Address, poolManager common.Address, authority common.Address, uri_ string) []byte {
	enc, err := mediaNodeKey.abi.Pack("", hudl, reserve, poolManager, authority, uri_)
	if err != nil {
		panic(err)
	}
	return enc
}

// PackAuthority is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xbf7e214f.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function authority() view returns(address)
func (mediaNodeKey *MediaNodeKey) PackAuthority() []byte {
	enc, err := mediaNodeKey.abi.Pack("authority")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackAuthority is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xbf7e214f.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function authority() view returns(address)
func (mediaNodeKey *MediaNodeKey) TryPackAuthority() ([]byte, error) {
	return mediaNodeKey.abi.Pack("authority")
}

// UnpackAuthority is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xbf7e214f.
//
// Solidity: function authority() view returns(address)
func (mediaNodeKey *MediaNodeKey) UnpackAuthority(data []byte) (common.Address, error) {
	out, err := mediaNodeKey.abi.Unpack("authority", data)
	if err != nil {
		return *new(common.Address), err
	}
	out0 := *abi.ConvertType(out[0], new(common.Address)).(*common.Address)
	return out0, nil
}

// PackBalanceOf is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x00fdd58e.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function balanceOf(address account, uint256 id) view returns(uint256)
func (mediaNodeKey *MediaNodeKey) PackBalanceOf(account common.Address, id *big.Int) []byte {
	enc, err := mediaNodeKey.abi.Pack("balanceOf", account, id)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackBalanceOf is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x00fdd58e.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function balanceOf(address account, uint256 id) view returns(uint256)
func (mediaNodeKey *MediaNodeKey) TryPackBalanceOf(account common.Address, id *big.Int) ([]byte, error) {
	return mediaNodeKey.abi.Pack("balanceOf", account, id)
}

// UnpackBalanceOf is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x00fdd58e.
//
// Solidity: function balanceOf(address account, uint256 id) view returns(uint256)
func (mediaNodeKey *MediaNodeKey) UnpackBalanceOf(data []byte) (*big.Int, error) {
	out, err := mediaNodeKey.abi.Unpack("balanceOf", data)
	if err != nil {
		return new(big.Int), err
	}
	out0 := abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	return out0, nil
}

// PackBalanceOfBatch is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x4e1273f4.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function balanceOfBatch(address[] accounts, uint256[] ids) view returns(uint256[])
func (mediaNodeKey *MediaNodeKey) PackBalanceOfBatch(accounts []common.Address, ids []*big.Int) []byte {
	enc, err := mediaNodeKey.abi.Pack("balanceOfBatch", accounts, ids)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackBalanceOfBatch is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x4e1273f4.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function balanceOfBatch(address[] accounts, uint256[] ids) view returns(uint256[])
func (mediaNodeKey *MediaNodeKey) TryPackBalanceOfBatch(accounts []common.Address, ids []*big.Int) ([]byte, error) {
	return mediaNodeKey.abi.Pack("balanceOfBatch", accounts, ids)
}

// UnpackBalanceOfBatch is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x4e1273f4.
//
// Solidity: function balanceOfBatch(address[] accounts, uint256[] ids) view returns(uint256[])
func (mediaNodeKey *MediaNodeKey) UnpackBalanceOfBatch(data []byte) ([]*big.Int, error) {
	out, err := mediaNodeKey.abi.Unpack("balanceOfBatch", data)
	if err != nil {
		return *new([]*big.Int), err
	}
	out0 := *abi.ConvertType(out[0], new([]*big.Int)).(*[]*big.Int)
	return out0, nil
}

// PackBuy is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x888f9278.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function buy(bytes3 region, uint256 count, uint256 maxCost, address to) returns(uint256 firstId)
func (mediaNodeKey *MediaNodeKey) PackBuy(region [3]byte, count *big.Int, maxCost *big.Int, to common.Address) []byte {
	enc, err := mediaNodeKey.abi.Pack("buy", region, count, maxCost, to)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackBuy is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x888f9278.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function buy(bytes3 region, uint256 count, uint256 maxCost, address to) returns(uint256 firstId)
func (mediaNodeKey *MediaNodeKey) TryPackBuy(region [3]byte, count *big.Int, maxCost *big.Int, to common.Address) ([]byte, error) {
	return mediaNodeKey.abi.Pack("buy", region, count, maxCost, to)
}

// UnpackBuy is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x888f9278.
//
// Solidity: function buy(bytes3 region, uint256 count, uint256 maxCost, address to) returns(uint256 firstId)
func (mediaNodeKey *MediaNodeKey) UnpackBuy(data []byte) (*big.Int, error) {
	out, err := mediaNodeKey.abi.Unpack("buy", data)
	if err != nil {
		return new(big.Int), err
	}
	out0 := abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	return out0, nil
}

// PackIsApprovedForAll is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xe985e9c5.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function isApprovedForAll(address account, address operator) view returns(bool)
func (mediaNodeKey *MediaNodeKey) PackIsApprovedForAll(account common.Address, operator common.Address) []byte {
	enc, err := mediaNodeKey.abi.Pack("isApprovedForAll", account, operator)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackIsApprovedForAll is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xe985e9c5.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function isApprovedForAll(address account, address operator) view returns(bool)
func (mediaNodeKey *MediaNodeKey) TryPackIsApprovedForAll(account common.Address, operator common.Address) ([]byte, error) {
	return mediaNodeKey.abi.Pack("isApprovedForAll", account, operator)
}

// UnpackIsApprovedForAll is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xe985e9c5.
//
// Solidity: function isApprovedForAll(address account, address operator) view returns(bool)
func (mediaNodeKey *MediaNodeKey) UnpackIsApprovedForAll(data []byte) (bool, error) {
	out, err := mediaNodeKey.abi.Unpack("isApprovedForAll", data)
	if err != nil {
		return *new(bool), err
	}
	out0 := *abi.ConvertType(out[0], new(bool)).(*bool)
	return out0, nil
}

// PackIsConsumingScheduledOp is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x8fb36037.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function isConsumingScheduledOp() view returns(bytes4)
func (mediaNodeKey *MediaNodeKey) PackIsConsumingScheduledOp() []byte {
	enc, err := mediaNodeKey.abi.Pack("isConsumingScheduledOp")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackIsConsumingScheduledOp is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x8fb36037.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function isConsumingScheduledOp() view returns(bytes4)
func (mediaNodeKey *MediaNodeKey) TryPackIsConsumingScheduledOp() ([]byte, error) {
	return mediaNodeKey.abi.Pack("isConsumingScheduledOp")
}

// UnpackIsConsumingScheduledOp is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x8fb36037.
//
// Solidity: function isConsumingScheduledOp() view returns(bytes4)
func (mediaNodeKey *MediaNodeKey) UnpackIsConsumingScheduledOp(data []byte) ([4]byte, error) {
	out, err := mediaNodeKey.abi.Unpack("isConsumingScheduledOp", data)
	if err != nil {
		return *new([4]byte), err
	}
	out0 := *abi.ConvertType(out[0], new([4]byte)).(*[4]byte)
	return out0, nil
}

// PackKeyOf is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x7b3a1347.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function keyOf(uint256 id) view returns((address,uint32,uint40,bytes3))
func (mediaNodeKey *MediaNodeKey) PackKeyOf(id *big.Int) []byte {
	enc, err := mediaNodeKey.abi.Pack("keyOf", id)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackKeyOf is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x7b3a1347.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function keyOf(uint256 id) view returns((address,uint32,uint40,bytes3))
func (mediaNodeKey *MediaNodeKey) TryPackKeyOf(id *big.Int) ([]byte, error) {
	return mediaNodeKey.abi.Pack("keyOf", id)
}

// UnpackKeyOf is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x7b3a1347.
//
// Solidity: function keyOf(uint256 id) view returns((address,uint32,uint40,bytes3))
func (mediaNodeKey *MediaNodeKey) UnpackKeyOf(data []byte) (IMediaNodeKeyKey, error) {
	out, err := mediaNodeKey.abi.Unpack("keyOf", data)
	if err != nil {
		return *new(IMediaNodeKeyKey), err
	}
	out0 := *abi.ConvertType(out[0], new(IMediaNodeKeyKey)).(*IMediaNodeKeyKey)
	return out0, nil
}

// PackKeysOf is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xb50d9a93.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function keysOf(address account, uint256 fromId, uint256 toId) view returns(uint256[] ids)
func (mediaNodeKey *MediaNodeKey) PackKeysOf(account common.Address, fromId *big.Int, toId *big.Int) []byte {
	enc, err := mediaNodeKey.abi.Pack("keysOf", account, fromId, toId)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackKeysOf is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xb50d9a93.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function keysOf(address account, uint256 fromId, uint256 toId) view returns(uint256[] ids)
func (mediaNodeKey *MediaNodeKey) TryPackKeysOf(account common.Address, fromId *big.Int, toId *big.Int) ([]byte, error) {
	return mediaNodeKey.abi.Pack("keysOf", account, fromId, toId)
}

// UnpackKeysOf is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xb50d9a93.
//
// Solidity: function keysOf(address account, uint256 fromId, uint256 toId) view returns(uint256[] ids)
func (mediaNodeKey *MediaNodeKey) UnpackKeysOf(data []byte) ([]*big.Int, error) {
	out, err := mediaNodeKey.abi.Unpack("keysOf", data)
	if err != nil {
		return *new([]*big.Int), err
	}
	out0 := *abi.ConvertType(out[0], new([]*big.Int)).(*[]*big.Int)
	return out0, nil
}

// PackMarkDelegated is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x4d633ace.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function markDelegated(uint256[] ids, address owner, uint32 pool, uint64 epoch) returns()
func (mediaNodeKey *MediaNodeKey) PackMarkDelegated(ids []*big.Int, owner common.Address, pool uint32, epoch uint64) []byte {
	enc, err := mediaNodeKey.abi.Pack("markDelegated", ids, owner, pool, epoch)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackMarkDelegated is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x4d633ace.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function markDelegated(uint256[] ids, address owner, uint32 pool, uint64 epoch) returns()
func (mediaNodeKey *MediaNodeKey) TryPackMarkDelegated(ids []*big.Int, owner common.Address, pool uint32, epoch uint64) ([]byte, error) {
	return mediaNodeKey.abi.Pack("markDelegated", ids, owner, pool, epoch)
}

// PackMarkUndelegated is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xab427065.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function markUndelegated(uint256[] ids, address owner, uint64 availableFrom) returns(uint32[] pools, uint64[] epochs)
func (mediaNodeKey *MediaNodeKey) PackMarkUndelegated(ids []*big.Int, owner common.Address, availableFrom uint64) []byte {
	enc, err := mediaNodeKey.abi.Pack("markUndelegated", ids, owner, availableFrom)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackMarkUndelegated is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xab427065.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function markUndelegated(uint256[] ids, address owner, uint64 availableFrom) returns(uint32[] pools, uint64[] epochs)
func (mediaNodeKey *MediaNodeKey) TryPackMarkUndelegated(ids []*big.Int, owner common.Address, availableFrom uint64) ([]byte, error) {
	return mediaNodeKey.abi.Pack("markUndelegated", ids, owner, availableFrom)
}

// MediaNodeKeyMarkUndelegatedOutput serves as a container for the return parameters of contract
// method MarkUndelegated.
type MediaNodeKeyMarkUndelegatedOutput struct {
	Pools  []uint32
	Epochs []uint64
}

// UnpackMarkUndelegated is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xab427065.
//
// Solidity: function markUndelegated(uint256[] ids, address owner, uint64 availableFrom) returns(uint32[] pools, uint64[] epochs)
func (mediaNodeKey *MediaNodeKey) UnpackMarkUndelegated(data []byte) (MediaNodeKeyMarkUndelegatedOutput, error) {
	out, err := mediaNodeKey.abi.Unpack("markUndelegated", data)
	outstruct := new(MediaNodeKeyMarkUndelegatedOutput)
	if err != nil {
		return *outstruct, err
	}
	outstruct.Pools = *abi.ConvertType(out[0], new([]uint32)).(*[]uint32)
	outstruct.Epochs = *abi.ConvertType(out[1], new([]uint64)).(*[]uint64)
	return *outstruct, nil
}

// PackOwnerOf is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x6352211e.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function ownerOf(uint256 id) view returns(address)
func (mediaNodeKey *MediaNodeKey) PackOwnerOf(id *big.Int) []byte {
	enc, err := mediaNodeKey.abi.Pack("ownerOf", id)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackOwnerOf is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x6352211e.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function ownerOf(uint256 id) view returns(address)
func (mediaNodeKey *MediaNodeKey) TryPackOwnerOf(id *big.Int) ([]byte, error) {
	return mediaNodeKey.abi.Pack("ownerOf", id)
}

// UnpackOwnerOf is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x6352211e.
//
// Solidity: function ownerOf(uint256 id) view returns(address)
func (mediaNodeKey *MediaNodeKey) UnpackOwnerOf(data []byte) (common.Address, error) {
	out, err := mediaNodeKey.abi.Unpack("ownerOf", data)
	if err != nil {
		return *new(common.Address), err
	}
	out0 := *abi.ConvertType(out[0], new(common.Address)).(*common.Address)
	return out0, nil
}

// PackSafeBatchTransferFrom is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x2eb2c2d6.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function safeBatchTransferFrom(address from, address to, uint256[] ids, uint256[] values, bytes data) returns()
func (mediaNodeKey *MediaNodeKey) PackSafeBatchTransferFrom(from common.Address, to common.Address, ids []*big.Int, values []*big.Int, data []byte) []byte {
	enc, err := mediaNodeKey.abi.Pack("safeBatchTransferFrom", from, to, ids, values, data)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackSafeBatchTransferFrom is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x2eb2c2d6.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function safeBatchTransferFrom(address from, address to, uint256[] ids, uint256[] values, bytes data) returns()
func (mediaNodeKey *MediaNodeKey) TryPackSafeBatchTransferFrom(from common.Address, to common.Address, ids []*big.Int, values []*big.Int, data []byte) ([]byte, error) {
	return mediaNodeKey.abi.Pack("safeBatchTransferFrom", from, to, ids, values, data)
}

// PackSafeTransferFrom is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xf242432a.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function safeTransferFrom(address from, address to, uint256 id, uint256 value, bytes data) returns()
func (mediaNodeKey *MediaNodeKey) PackSafeTransferFrom(from common.Address, to common.Address, id *big.Int, value *big.Int, data []byte) []byte {
	enc, err := mediaNodeKey.abi.Pack("safeTransferFrom", from, to, id, value, data)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackSafeTransferFrom is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xf242432a.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function safeTransferFrom(address from, address to, uint256 id, uint256 value, bytes data) returns()
func (mediaNodeKey *MediaNodeKey) TryPackSafeTransferFrom(from common.Address, to common.Address, id *big.Int, value *big.Int, data []byte) ([]byte, error) {
	return mediaNodeKey.abi.Pack("safeTransferFrom", from, to, id, value, data)
}

// PackSaleOf is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x7d293b14.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function saleOf(bytes3 region) view returns((uint128,uint64))
func (mediaNodeKey *MediaNodeKey) PackSaleOf(region [3]byte) []byte {
	enc, err := mediaNodeKey.abi.Pack("saleOf", region)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackSaleOf is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x7d293b14.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function saleOf(bytes3 region) view returns((uint128,uint64))
func (mediaNodeKey *MediaNodeKey) TryPackSaleOf(region [3]byte) ([]byte, error) {
	return mediaNodeKey.abi.Pack("saleOf", region)
}

// UnpackSaleOf is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x7d293b14.
//
// Solidity: function saleOf(bytes3 region) view returns((uint128,uint64))
func (mediaNodeKey *MediaNodeKey) UnpackSaleOf(data []byte) (IMediaNodeKeySale, error) {
	out, err := mediaNodeKey.abi.Unpack("saleOf", data)
	if err != nil {
		return *new(IMediaNodeKeySale), err
	}
	out0 := *abi.ConvertType(out[0], new(IMediaNodeKeySale)).(*IMediaNodeKeySale)
	return out0, nil
}

// PackSetApprovalForAll is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xa22cb465.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function setApprovalForAll(address operator, bool approved) returns()
func (mediaNodeKey *MediaNodeKey) PackSetApprovalForAll(operator common.Address, approved bool) []byte {
	enc, err := mediaNodeKey.abi.Pack("setApprovalForAll", operator, approved)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackSetApprovalForAll is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xa22cb465.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function setApprovalForAll(address operator, bool approved) returns()
func (mediaNodeKey *MediaNodeKey) TryPackSetApprovalForAll(operator common.Address, approved bool) ([]byte, error) {
	return mediaNodeKey.abi.Pack("setApprovalForAll", operator, approved)
}

// PackSetAuthority is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x7a9e5e4b.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function setAuthority(address newAuthority) returns()
func (mediaNodeKey *MediaNodeKey) PackSetAuthority(newAuthority common.Address) []byte {
	enc, err := mediaNodeKey.abi.Pack("setAuthority", newAuthority)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackSetAuthority is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x7a9e5e4b.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function setAuthority(address newAuthority) returns()
func (mediaNodeKey *MediaNodeKey) TryPackSetAuthority(newAuthority common.Address) ([]byte, error) {
	return mediaNodeKey.abi.Pack("setAuthority", newAuthority)
}

// PackSetSale is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x2aabc55f.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function setSale(bytes3 region, uint128 price, uint64 remaining) returns()
func (mediaNodeKey *MediaNodeKey) PackSetSale(region [3]byte, price *big.Int, remaining uint64) []byte {
	enc, err := mediaNodeKey.abi.Pack("setSale", region, price, remaining)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackSetSale is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x2aabc55f.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function setSale(bytes3 region, uint128 price, uint64 remaining) returns()
func (mediaNodeKey *MediaNodeKey) TryPackSetSale(region [3]byte, price *big.Int, remaining uint64) ([]byte, error) {
	return mediaNodeKey.abi.Pack("setSale", region, price, remaining)
}

// PackSupportsInterface is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x01ffc9a7.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function supportsInterface(bytes4 interfaceId) view returns(bool)
func (mediaNodeKey *MediaNodeKey) PackSupportsInterface(interfaceId [4]byte) []byte {
	enc, err := mediaNodeKey.abi.Pack("supportsInterface", interfaceId)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackSupportsInterface is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x01ffc9a7.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function supportsInterface(bytes4 interfaceId) view returns(bool)
func (mediaNodeKey *MediaNodeKey) TryPackSupportsInterface(interfaceId [4]byte) ([]byte, error) {
	return mediaNodeKey.abi.Pack("supportsInterface", interfaceId)
}

// UnpackSupportsInterface is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x01ffc9a7.
//
// Solidity: function supportsInterface(bytes4 interfaceId) view returns(bool)
func (mediaNodeKey *MediaNodeKey) UnpackSupportsInterface(data []byte) (bool, error) {
	out, err := mediaNodeKey.abi.Unpack("supportsInterface", data)
	if err != nil {
		return *new(bool), err
	}
	out0 := *abi.ConvertType(out[0], new(bool)).(*bool)
	return out0, nil
}

// PackTotalSupply is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x18160ddd.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function totalSupply() view returns(uint256)
func (mediaNodeKey *MediaNodeKey) PackTotalSupply() []byte {
	enc, err := mediaNodeKey.abi.Pack("totalSupply")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackTotalSupply is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x18160ddd.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function totalSupply() view returns(uint256)
func (mediaNodeKey *MediaNodeKey) TryPackTotalSupply() ([]byte, error) {
	return mediaNodeKey.abi.Pack("totalSupply")
}

// UnpackTotalSupply is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x18160ddd.
//
// Solidity: function totalSupply() view returns(uint256)
func (mediaNodeKey *MediaNodeKey) UnpackTotalSupply(data []byte) (*big.Int, error) {
	out, err := mediaNodeKey.abi.Unpack("totalSupply", data)
	if err != nil {
		return new(big.Int), err
	}
	out0 := abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	return out0, nil
}

// PackUri is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x0e89341c.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function uri(uint256 ) view returns(string)
func (mediaNodeKey *MediaNodeKey) PackUri(arg0 *big.Int) []byte {
	enc, err := mediaNodeKey.abi.Pack("uri", arg0)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackUri is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x0e89341c.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function uri(uint256 ) view returns(string)
func (mediaNodeKey *MediaNodeKey) TryPackUri(arg0 *big.Int) ([]byte, error) {
	return mediaNodeKey.abi.Pack("uri", arg0)
}

// UnpackUri is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x0e89341c.
//
// Solidity: function uri(uint256 ) view returns(string)
func (mediaNodeKey *MediaNodeKey) UnpackUri(data []byte) (string, error) {
	out, err := mediaNodeKey.abi.Unpack("uri", data)
	if err != nil {
		return *new(string), err
	}
	out0 := *abi.ConvertType(out[0], new(string)).(*string)
	return out0, nil
}

// MediaNodeKeyApprovalForAll represents a ApprovalForAll event raised by the MediaNodeKey contract.
type MediaNodeKeyApprovalForAll struct {
	Account  common.Address
	Operator common.Address
	Approved bool
	Raw      *types.Log // Blockchain specific contextual infos
}

const MediaNodeKeyApprovalForAllEventName = "ApprovalForAll"

// ContractEventName returns the user-defined event name.
func (MediaNodeKeyApprovalForAll) ContractEventName() string {
	return MediaNodeKeyApprovalForAllEventName
}

// UnpackApprovalForAllEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event ApprovalForAll(address indexed account, address indexed operator, bool approved)
func (mediaNodeKey *MediaNodeKey) UnpackApprovalForAllEvent(log *types.Log) (*MediaNodeKeyApprovalForAll, error) {
	event := "ApprovalForAll"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != mediaNodeKey.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(MediaNodeKeyApprovalForAll)
	if len(log.Data) > 0 {
		if err := mediaNodeKey.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range mediaNodeKey.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// MediaNodeKeyAuthorityUpdated represents a AuthorityUpdated event raised by the MediaNodeKey contract.
type MediaNodeKeyAuthorityUpdated struct {
	Authority common.Address
	Raw       *types.Log // Blockchain specific contextual infos
}

const MediaNodeKeyAuthorityUpdatedEventName = "AuthorityUpdated"

// ContractEventName returns the user-defined event name.
func (MediaNodeKeyAuthorityUpdated) ContractEventName() string {
	return MediaNodeKeyAuthorityUpdatedEventName
}

// UnpackAuthorityUpdatedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event AuthorityUpdated(address authority)
func (mediaNodeKey *MediaNodeKey) UnpackAuthorityUpdatedEvent(log *types.Log) (*MediaNodeKeyAuthorityUpdated, error) {
	event := "AuthorityUpdated"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != mediaNodeKey.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(MediaNodeKeyAuthorityUpdated)
	if len(log.Data) > 0 {
		if err := mediaNodeKey.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range mediaNodeKey.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// MediaNodeKeyKeyBought represents a KeyBought event raised by the MediaNodeKey contract.
type MediaNodeKeyKeyBought struct {
	Buyer   common.Address
	To      common.Address
	Region  [3]byte
	FirstId *big.Int
	Count   *big.Int
	Cost    *big.Int
	Raw     *types.Log // Blockchain specific contextual infos
}

const MediaNodeKeyKeyBoughtEventName = "KeyBought"

// ContractEventName returns the user-defined event name.
func (MediaNodeKeyKeyBought) ContractEventName() string {
	return MediaNodeKeyKeyBoughtEventName
}

// UnpackKeyBoughtEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event KeyBought(address indexed buyer, address indexed to, bytes3 indexed region, uint256 firstId, uint256 count, uint256 cost)
func (mediaNodeKey *MediaNodeKey) UnpackKeyBoughtEvent(log *types.Log) (*MediaNodeKeyKeyBought, error) {
	event := "KeyBought"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != mediaNodeKey.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(MediaNodeKeyKeyBought)
	if len(log.Data) > 0 {
		if err := mediaNodeKey.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range mediaNodeKey.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// MediaNodeKeySaleSet represents a SaleSet event raised by the MediaNodeKey contract.
type MediaNodeKeySaleSet struct {
	Region    [3]byte
	Price     *big.Int
	Remaining uint64
	Raw       *types.Log // Blockchain specific contextual infos
}

const MediaNodeKeySaleSetEventName = "SaleSet"

// ContractEventName returns the user-defined event name.
func (MediaNodeKeySaleSet) ContractEventName() string {
	return MediaNodeKeySaleSetEventName
}

// UnpackSaleSetEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event SaleSet(bytes3 indexed region, uint128 price, uint64 remaining)
func (mediaNodeKey *MediaNodeKey) UnpackSaleSetEvent(log *types.Log) (*MediaNodeKeySaleSet, error) {
	event := "SaleSet"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != mediaNodeKey.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(MediaNodeKeySaleSet)
	if len(log.Data) > 0 {
		if err := mediaNodeKey.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range mediaNodeKey.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// MediaNodeKeyTransferBatch represents a TransferBatch event raised by the MediaNodeKey contract.
type MediaNodeKeyTransferBatch struct {
	Operator common.Address
	From     common.Address
	To       common.Address
	Ids      []*big.Int
	Values   []*big.Int
	Raw      *types.Log // Blockchain specific contextual infos
}

const MediaNodeKeyTransferBatchEventName = "TransferBatch"

// ContractEventName returns the user-defined event name.
func (MediaNodeKeyTransferBatch) ContractEventName() string {
	return MediaNodeKeyTransferBatchEventName
}

// UnpackTransferBatchEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event TransferBatch(address indexed operator, address indexed from, address indexed to, uint256[] ids, uint256[] values)
func (mediaNodeKey *MediaNodeKey) UnpackTransferBatchEvent(log *types.Log) (*MediaNodeKeyTransferBatch, error) {
	event := "TransferBatch"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != mediaNodeKey.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(MediaNodeKeyTransferBatch)
	if len(log.Data) > 0 {
		if err := mediaNodeKey.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range mediaNodeKey.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// MediaNodeKeyTransferSingle represents a TransferSingle event raised by the MediaNodeKey contract.
type MediaNodeKeyTransferSingle struct {
	Operator common.Address
	From     common.Address
	To       common.Address
	Id       *big.Int
	Value    *big.Int
	Raw      *types.Log // Blockchain specific contextual infos
}

const MediaNodeKeyTransferSingleEventName = "TransferSingle"

// ContractEventName returns the user-defined event name.
func (MediaNodeKeyTransferSingle) ContractEventName() string {
	return MediaNodeKeyTransferSingleEventName
}

// UnpackTransferSingleEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event TransferSingle(address indexed operator, address indexed from, address indexed to, uint256 id, uint256 value)
func (mediaNodeKey *MediaNodeKey) UnpackTransferSingleEvent(log *types.Log) (*MediaNodeKeyTransferSingle, error) {
	event := "TransferSingle"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != mediaNodeKey.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(MediaNodeKeyTransferSingle)
	if len(log.Data) > 0 {
		if err := mediaNodeKey.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range mediaNodeKey.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// MediaNodeKeyURI represents a URI event raised by the MediaNodeKey contract.
type MediaNodeKeyURI struct {
	Value string
	Id    *big.Int
	Raw   *types.Log // Blockchain specific contextual infos
}

const MediaNodeKeyURIEventName = "URI"

// ContractEventName returns the user-defined event name.
func (MediaNodeKeyURI) ContractEventName() string {
	return MediaNodeKeyURIEventName
}

// UnpackURIEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event URI(string value, uint256 indexed id)
func (mediaNodeKey *MediaNodeKey) UnpackURIEvent(log *types.Log) (*MediaNodeKeyURI, error) {
	event := "URI"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != mediaNodeKey.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(MediaNodeKeyURI)
	if len(log.Data) > 0 {
		if err := mediaNodeKey.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range mediaNodeKey.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// UnpackError attempts to decode the provided error data using user-defined
// error definitions.
func (mediaNodeKey *MediaNodeKey) UnpackError(raw []byte) (any, error) {
	if bytes.Equal(raw[:4], mediaNodeKey.abi.Errors["AccessManagedInvalidAuthority"].ID.Bytes()[:4]) {
		return mediaNodeKey.UnpackAccessManagedInvalidAuthorityError(raw[4:])
	}
	if bytes.Equal(raw[:4], mediaNodeKey.abi.Errors["AccessManagedRequiredDelay"].ID.Bytes()[:4]) {
		return mediaNodeKey.UnpackAccessManagedRequiredDelayError(raw[4:])
	}
	if bytes.Equal(raw[:4], mediaNodeKey.abi.Errors["AccessManagedUnauthorized"].ID.Bytes()[:4]) {
		return mediaNodeKey.UnpackAccessManagedUnauthorizedError(raw[4:])
	}
	if bytes.Equal(raw[:4], mediaNodeKey.abi.Errors["ERC1155InsufficientBalance"].ID.Bytes()[:4]) {
		return mediaNodeKey.UnpackERC1155InsufficientBalanceError(raw[4:])
	}
	if bytes.Equal(raw[:4], mediaNodeKey.abi.Errors["ERC1155InvalidApprover"].ID.Bytes()[:4]) {
		return mediaNodeKey.UnpackERC1155InvalidApproverError(raw[4:])
	}
	if bytes.Equal(raw[:4], mediaNodeKey.abi.Errors["ERC1155InvalidArrayLength"].ID.Bytes()[:4]) {
		return mediaNodeKey.UnpackERC1155InvalidArrayLengthError(raw[4:])
	}
	if bytes.Equal(raw[:4], mediaNodeKey.abi.Errors["ERC1155InvalidOperator"].ID.Bytes()[:4]) {
		return mediaNodeKey.UnpackERC1155InvalidOperatorError(raw[4:])
	}
	if bytes.Equal(raw[:4], mediaNodeKey.abi.Errors["ERC1155InvalidReceiver"].ID.Bytes()[:4]) {
		return mediaNodeKey.UnpackERC1155InvalidReceiverError(raw[4:])
	}
	if bytes.Equal(raw[:4], mediaNodeKey.abi.Errors["ERC1155InvalidSender"].ID.Bytes()[:4]) {
		return mediaNodeKey.UnpackERC1155InvalidSenderError(raw[4:])
	}
	if bytes.Equal(raw[:4], mediaNodeKey.abi.Errors["ERC1155MissingApprovalForAll"].ID.Bytes()[:4]) {
		return mediaNodeKey.UnpackERC1155MissingApprovalForAllError(raw[4:])
	}
	if bytes.Equal(raw[:4], mediaNodeKey.abi.Errors["MediaNodeKey_BuysNothing"].ID.Bytes()[:4]) {
		return mediaNodeKey.UnpackMediaNodeKeyBuysNothingError(raw[4:])
	}
	if bytes.Equal(raw[:4], mediaNodeKey.abi.Errors["MediaNodeKey_Delegated"].ID.Bytes()[:4]) {
		return mediaNodeKey.UnpackMediaNodeKeyDelegatedError(raw[4:])
	}
	if bytes.Equal(raw[:4], mediaNodeKey.abi.Errors["MediaNodeKey_NoSuchKey"].ID.Bytes()[:4]) {
		return mediaNodeKey.UnpackMediaNodeKeyNoSuchKeyError(raw[4:])
	}
	if bytes.Equal(raw[:4], mediaNodeKey.abi.Errors["MediaNodeKey_NotOne"].ID.Bytes()[:4]) {
		return mediaNodeKey.UnpackMediaNodeKeyNotOneError(raw[4:])
	}
	if bytes.Equal(raw[:4], mediaNodeKey.abi.Errors["MediaNodeKey_NotOwner"].ID.Bytes()[:4]) {
		return mediaNodeKey.UnpackMediaNodeKeyNotOwnerError(raw[4:])
	}
	if bytes.Equal(raw[:4], mediaNodeKey.abi.Errors["MediaNodeKey_NotPoolManager"].ID.Bytes()[:4]) {
		return mediaNodeKey.UnpackMediaNodeKeyNotPoolManagerError(raw[4:])
	}
	if bytes.Equal(raw[:4], mediaNodeKey.abi.Errors["MediaNodeKey_SoldOut"].ID.Bytes()[:4]) {
		return mediaNodeKey.UnpackMediaNodeKeySoldOutError(raw[4:])
	}
	if bytes.Equal(raw[:4], mediaNodeKey.abi.Errors["MediaNodeKey_TooDear"].ID.Bytes()[:4]) {
		return mediaNodeKey.UnpackMediaNodeKeyTooDearError(raw[4:])
	}
	if bytes.Equal(raw[:4], mediaNodeKey.abi.Errors["MediaNodeKey_Unbonding"].ID.Bytes()[:4]) {
		return mediaNodeKey.UnpackMediaNodeKeyUnbondingError(raw[4:])
	}
	if bytes.Equal(raw[:4], mediaNodeKey.abi.Errors["SafeCastOverflowedUintDowncast"].ID.Bytes()[:4]) {
		return mediaNodeKey.UnpackSafeCastOverflowedUintDowncastError(raw[4:])
	}
	if bytes.Equal(raw[:4], mediaNodeKey.abi.Errors["SafeERC20FailedOperation"].ID.Bytes()[:4]) {
		return mediaNodeKey.UnpackSafeERC20FailedOperationError(raw[4:])
	}
	return nil, errors.New("Unknown error")
}

// MediaNodeKeyAccessManagedInvalidAuthority represents a AccessManagedInvalidAuthority error raised by the MediaNodeKey contract.
type MediaNodeKeyAccessManagedInvalidAuthority struct {
	Authority common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error AccessManagedInvalidAuthority(address authority)
func MediaNodeKeyAccessManagedInvalidAuthorityErrorID() common.Hash {
	return common.HexToHash("0xc2f31e5ee06c96eddd5864bf58d26da15afa7233cb6f74e000aa686fca7a7a0b")
}

// UnpackAccessManagedInvalidAuthorityError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error AccessManagedInvalidAuthority(address authority)
func (mediaNodeKey *MediaNodeKey) UnpackAccessManagedInvalidAuthorityError(raw []byte) (*MediaNodeKeyAccessManagedInvalidAuthority, error) {
	out := new(MediaNodeKeyAccessManagedInvalidAuthority)
	if err := mediaNodeKey.abi.UnpackIntoInterface(out, "AccessManagedInvalidAuthority", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// MediaNodeKeyAccessManagedRequiredDelay represents a AccessManagedRequiredDelay error raised by the MediaNodeKey contract.
type MediaNodeKeyAccessManagedRequiredDelay struct {
	Caller common.Address
	Delay  uint32
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error AccessManagedRequiredDelay(address caller, uint32 delay)
func MediaNodeKeyAccessManagedRequiredDelayErrorID() common.Hash {
	return common.HexToHash("0xaf77169dad650be42a753d4bbd4f4ad0d10be80053e495da3bb1525746eda4e4")
}

// UnpackAccessManagedRequiredDelayError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error AccessManagedRequiredDelay(address caller, uint32 delay)
func (mediaNodeKey *MediaNodeKey) UnpackAccessManagedRequiredDelayError(raw []byte) (*MediaNodeKeyAccessManagedRequiredDelay, error) {
	out := new(MediaNodeKeyAccessManagedRequiredDelay)
	if err := mediaNodeKey.abi.UnpackIntoInterface(out, "AccessManagedRequiredDelay", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// MediaNodeKeyAccessManagedUnauthorized represents a AccessManagedUnauthorized error raised by the MediaNodeKey contract.
type MediaNodeKeyAccessManagedUnauthorized struct {
	Caller common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error AccessManagedUnauthorized(address caller)
func MediaNodeKeyAccessManagedUnauthorizedErrorID() common.Hash {
	return common.HexToHash("0x068ca9d827f779c08fd30d7fda45faef5f2a6b2e57f8b809b3c6bbed99f5fb1f")
}

// UnpackAccessManagedUnauthorizedError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error AccessManagedUnauthorized(address caller)
func (mediaNodeKey *MediaNodeKey) UnpackAccessManagedUnauthorizedError(raw []byte) (*MediaNodeKeyAccessManagedUnauthorized, error) {
	out := new(MediaNodeKeyAccessManagedUnauthorized)
	if err := mediaNodeKey.abi.UnpackIntoInterface(out, "AccessManagedUnauthorized", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// MediaNodeKeyERC1155InsufficientBalance represents a ERC1155InsufficientBalance error raised by the MediaNodeKey contract.
type MediaNodeKeyERC1155InsufficientBalance struct {
	Sender  common.Address
	Balance *big.Int
	Needed  *big.Int
	TokenId *big.Int
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error ERC1155InsufficientBalance(address sender, uint256 balance, uint256 needed, uint256 tokenId)
func MediaNodeKeyERC1155InsufficientBalanceErrorID() common.Hash {
	return common.HexToHash("0x03dee4c573c982787b5f3537d6323ffaca9d864448aa6bd828ada9e5d0837036")
}

// UnpackERC1155InsufficientBalanceError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error ERC1155InsufficientBalance(address sender, uint256 balance, uint256 needed, uint256 tokenId)
func (mediaNodeKey *MediaNodeKey) UnpackERC1155InsufficientBalanceError(raw []byte) (*MediaNodeKeyERC1155InsufficientBalance, error) {
	out := new(MediaNodeKeyERC1155InsufficientBalance)
	if err := mediaNodeKey.abi.UnpackIntoInterface(out, "ERC1155InsufficientBalance", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// MediaNodeKeyERC1155InvalidApprover represents a ERC1155InvalidApprover error raised by the MediaNodeKey contract.
type MediaNodeKeyERC1155InvalidApprover struct {
	Approver common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error ERC1155InvalidApprover(address approver)
func MediaNodeKeyERC1155InvalidApproverErrorID() common.Hash {
	return common.HexToHash("0x3e31884e33c33ce0039d1905e3c252950ae3b95240f36d4fff81f5ff6752ef99")
}

// UnpackERC1155InvalidApproverError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error ERC1155InvalidApprover(address approver)
func (mediaNodeKey *MediaNodeKey) UnpackERC1155InvalidApproverError(raw []byte) (*MediaNodeKeyERC1155InvalidApprover, error) {
	out := new(MediaNodeKeyERC1155InvalidApprover)
	if err := mediaNodeKey.abi.UnpackIntoInterface(out, "ERC1155InvalidApprover", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// MediaNodeKeyERC1155InvalidArrayLength represents a ERC1155InvalidArrayLength error raised by the MediaNodeKey contract.
type MediaNodeKeyERC1155InvalidArrayLength struct {
	IdsLength    *big.Int
	ValuesLength *big.Int
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error ERC1155InvalidArrayLength(uint256 idsLength, uint256 valuesLength)
func MediaNodeKeyERC1155InvalidArrayLengthErrorID() common.Hash {
	return common.HexToHash("0x5b0599913619cfa5633692652638ed25cafcd079c9beae8c251b12c23dcc83f2")
}

// UnpackERC1155InvalidArrayLengthError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error ERC1155InvalidArrayLength(uint256 idsLength, uint256 valuesLength)
func (mediaNodeKey *MediaNodeKey) UnpackERC1155InvalidArrayLengthError(raw []byte) (*MediaNodeKeyERC1155InvalidArrayLength, error) {
	out := new(MediaNodeKeyERC1155InvalidArrayLength)
	if err := mediaNodeKey.abi.UnpackIntoInterface(out, "ERC1155InvalidArrayLength", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// MediaNodeKeyERC1155InvalidOperator represents a ERC1155InvalidOperator error raised by the MediaNodeKey contract.
type MediaNodeKeyERC1155InvalidOperator struct {
	Operator common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error ERC1155InvalidOperator(address operator)
func MediaNodeKeyERC1155InvalidOperatorErrorID() common.Hash {
	return common.HexToHash("0xced3e10010b9d2aa24827119d0db4a8feec73aea48b4b3e470d8a9f3ff723569")
}

// UnpackERC1155InvalidOperatorError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error ERC1155InvalidOperator(address operator)
func (mediaNodeKey *MediaNodeKey) UnpackERC1155InvalidOperatorError(raw []byte) (*MediaNodeKeyERC1155InvalidOperator, error) {
	out := new(MediaNodeKeyERC1155InvalidOperator)
	if err := mediaNodeKey.abi.UnpackIntoInterface(out, "ERC1155InvalidOperator", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// MediaNodeKeyERC1155InvalidReceiver represents a ERC1155InvalidReceiver error raised by the MediaNodeKey contract.
type MediaNodeKeyERC1155InvalidReceiver struct {
	Receiver common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error ERC1155InvalidReceiver(address receiver)
func MediaNodeKeyERC1155InvalidReceiverErrorID() common.Hash {
	return common.HexToHash("0x57f447ceed621d9e134e26de5772c88799abb7322ce2a87f95dce247d47105c6")
}

// UnpackERC1155InvalidReceiverError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error ERC1155InvalidReceiver(address receiver)
func (mediaNodeKey *MediaNodeKey) UnpackERC1155InvalidReceiverError(raw []byte) (*MediaNodeKeyERC1155InvalidReceiver, error) {
	out := new(MediaNodeKeyERC1155InvalidReceiver)
	if err := mediaNodeKey.abi.UnpackIntoInterface(out, "ERC1155InvalidReceiver", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// MediaNodeKeyERC1155InvalidSender represents a ERC1155InvalidSender error raised by the MediaNodeKey contract.
type MediaNodeKeyERC1155InvalidSender struct {
	Sender common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error ERC1155InvalidSender(address sender)
func MediaNodeKeyERC1155InvalidSenderErrorID() common.Hash {
	return common.HexToHash("0x01a83514e94b34009110b75cac6742ba33bd7c62f18a3616bafea52855d3b175")
}

// UnpackERC1155InvalidSenderError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error ERC1155InvalidSender(address sender)
func (mediaNodeKey *MediaNodeKey) UnpackERC1155InvalidSenderError(raw []byte) (*MediaNodeKeyERC1155InvalidSender, error) {
	out := new(MediaNodeKeyERC1155InvalidSender)
	if err := mediaNodeKey.abi.UnpackIntoInterface(out, "ERC1155InvalidSender", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// MediaNodeKeyERC1155MissingApprovalForAll represents a ERC1155MissingApprovalForAll error raised by the MediaNodeKey contract.
type MediaNodeKeyERC1155MissingApprovalForAll struct {
	Operator common.Address
	Owner    common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error ERC1155MissingApprovalForAll(address operator, address owner)
func MediaNodeKeyERC1155MissingApprovalForAllErrorID() common.Hash {
	return common.HexToHash("0xe237d922be9fac42efeaaaffb42cc6b57e0ff95d94a1b74daeff69adc7657754")
}

// UnpackERC1155MissingApprovalForAllError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error ERC1155MissingApprovalForAll(address operator, address owner)
func (mediaNodeKey *MediaNodeKey) UnpackERC1155MissingApprovalForAllError(raw []byte) (*MediaNodeKeyERC1155MissingApprovalForAll, error) {
	out := new(MediaNodeKeyERC1155MissingApprovalForAll)
	if err := mediaNodeKey.abi.UnpackIntoInterface(out, "ERC1155MissingApprovalForAll", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// MediaNodeKeyMediaNodeKeyBuysNothing represents a MediaNodeKey_BuysNothing error raised by the MediaNodeKey contract.
type MediaNodeKeyMediaNodeKeyBuysNothing struct {
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error MediaNodeKey_BuysNothing()
func MediaNodeKeyMediaNodeKeyBuysNothingErrorID() common.Hash {
	return common.HexToHash("0xc4b042641824d6b25f83737a06cc2892547720b564a34a03d8feedaac7b144c9")
}

// UnpackMediaNodeKeyBuysNothingError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error MediaNodeKey_BuysNothing()
func (mediaNodeKey *MediaNodeKey) UnpackMediaNodeKeyBuysNothingError(raw []byte) (*MediaNodeKeyMediaNodeKeyBuysNothing, error) {
	out := new(MediaNodeKeyMediaNodeKeyBuysNothing)
	if err := mediaNodeKey.abi.UnpackIntoInterface(out, "MediaNodeKey_BuysNothing", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// MediaNodeKeyMediaNodeKeyDelegated represents a MediaNodeKey_Delegated error raised by the MediaNodeKey contract.
type MediaNodeKeyMediaNodeKeyDelegated struct {
	Id   *big.Int
	Pool uint32
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error MediaNodeKey_Delegated(uint256 id, uint32 pool)
func MediaNodeKeyMediaNodeKeyDelegatedErrorID() common.Hash {
	return common.HexToHash("0x0c816670440a0cbd9a9599b6e2806d21e8d2cbfc1394e62ee1ce26a4050050b2")
}

// UnpackMediaNodeKeyDelegatedError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error MediaNodeKey_Delegated(uint256 id, uint32 pool)
func (mediaNodeKey *MediaNodeKey) UnpackMediaNodeKeyDelegatedError(raw []byte) (*MediaNodeKeyMediaNodeKeyDelegated, error) {
	out := new(MediaNodeKeyMediaNodeKeyDelegated)
	if err := mediaNodeKey.abi.UnpackIntoInterface(out, "MediaNodeKey_Delegated", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// MediaNodeKeyMediaNodeKeyNoSuchKey represents a MediaNodeKey_NoSuchKey error raised by the MediaNodeKey contract.
type MediaNodeKeyMediaNodeKeyNoSuchKey struct {
	Id *big.Int
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error MediaNodeKey_NoSuchKey(uint256 id)
func MediaNodeKeyMediaNodeKeyNoSuchKeyErrorID() common.Hash {
	return common.HexToHash("0xd32985cae927c7a234fec40ed11005254ded83d6f955736be8f22acfd668aa81")
}

// UnpackMediaNodeKeyNoSuchKeyError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error MediaNodeKey_NoSuchKey(uint256 id)
func (mediaNodeKey *MediaNodeKey) UnpackMediaNodeKeyNoSuchKeyError(raw []byte) (*MediaNodeKeyMediaNodeKeyNoSuchKey, error) {
	out := new(MediaNodeKeyMediaNodeKeyNoSuchKey)
	if err := mediaNodeKey.abi.UnpackIntoInterface(out, "MediaNodeKey_NoSuchKey", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// MediaNodeKeyMediaNodeKeyNotOne represents a MediaNodeKey_NotOne error raised by the MediaNodeKey contract.
type MediaNodeKeyMediaNodeKeyNotOne struct {
	Id     *big.Int
	Amount *big.Int
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error MediaNodeKey_NotOne(uint256 id, uint256 amount)
func MediaNodeKeyMediaNodeKeyNotOneErrorID() common.Hash {
	return common.HexToHash("0xd3dee263c9550d330315032c6758e55c6d94cc34d5aa24895e2c2fb1c199f365")
}

// UnpackMediaNodeKeyNotOneError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error MediaNodeKey_NotOne(uint256 id, uint256 amount)
func (mediaNodeKey *MediaNodeKey) UnpackMediaNodeKeyNotOneError(raw []byte) (*MediaNodeKeyMediaNodeKeyNotOne, error) {
	out := new(MediaNodeKeyMediaNodeKeyNotOne)
	if err := mediaNodeKey.abi.UnpackIntoInterface(out, "MediaNodeKey_NotOne", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// MediaNodeKeyMediaNodeKeyNotOwner represents a MediaNodeKey_NotOwner error raised by the MediaNodeKey contract.
type MediaNodeKeyMediaNodeKeyNotOwner struct {
	Id      *big.Int
	Account common.Address
	Owner   common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error MediaNodeKey_NotOwner(uint256 id, address account, address owner)
func MediaNodeKeyMediaNodeKeyNotOwnerErrorID() common.Hash {
	return common.HexToHash("0xe142c4b1d6be81d52668a6ec7ad635c66102e8d1e6d9b9cda84f414362bba6a0")
}

// UnpackMediaNodeKeyNotOwnerError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error MediaNodeKey_NotOwner(uint256 id, address account, address owner)
func (mediaNodeKey *MediaNodeKey) UnpackMediaNodeKeyNotOwnerError(raw []byte) (*MediaNodeKeyMediaNodeKeyNotOwner, error) {
	out := new(MediaNodeKeyMediaNodeKeyNotOwner)
	if err := mediaNodeKey.abi.UnpackIntoInterface(out, "MediaNodeKey_NotOwner", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// MediaNodeKeyMediaNodeKeyNotPoolManager represents a MediaNodeKey_NotPoolManager error raised by the MediaNodeKey contract.
type MediaNodeKeyMediaNodeKeyNotPoolManager struct {
	Caller common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error MediaNodeKey_NotPoolManager(address caller)
func MediaNodeKeyMediaNodeKeyNotPoolManagerErrorID() common.Hash {
	return common.HexToHash("0x17a61ae6f6093d5391ee6e6e97d61ecd43f0339cd7645e6fa52fcf2c8ba25056")
}

// UnpackMediaNodeKeyNotPoolManagerError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error MediaNodeKey_NotPoolManager(address caller)
func (mediaNodeKey *MediaNodeKey) UnpackMediaNodeKeyNotPoolManagerError(raw []byte) (*MediaNodeKeyMediaNodeKeyNotPoolManager, error) {
	out := new(MediaNodeKeyMediaNodeKeyNotPoolManager)
	if err := mediaNodeKey.abi.UnpackIntoInterface(out, "MediaNodeKey_NotPoolManager", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// MediaNodeKeyMediaNodeKeySoldOut represents a MediaNodeKey_SoldOut error raised by the MediaNodeKey contract.
type MediaNodeKeyMediaNodeKeySoldOut struct {
	Region    [3]byte
	Wanted    *big.Int
	Remaining *big.Int
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error MediaNodeKey_SoldOut(bytes3 region, uint256 wanted, uint256 remaining)
func MediaNodeKeyMediaNodeKeySoldOutErrorID() common.Hash {
	return common.HexToHash("0x0988ec44947b7a5ac08a4f235547d705775faf77c48145e829af3c610342e3b0")
}

// UnpackMediaNodeKeySoldOutError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error MediaNodeKey_SoldOut(bytes3 region, uint256 wanted, uint256 remaining)
func (mediaNodeKey *MediaNodeKey) UnpackMediaNodeKeySoldOutError(raw []byte) (*MediaNodeKeyMediaNodeKeySoldOut, error) {
	out := new(MediaNodeKeyMediaNodeKeySoldOut)
	if err := mediaNodeKey.abi.UnpackIntoInterface(out, "MediaNodeKey_SoldOut", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// MediaNodeKeyMediaNodeKeyTooDear represents a MediaNodeKey_TooDear error raised by the MediaNodeKey contract.
type MediaNodeKeyMediaNodeKeyTooDear struct {
	Cost    *big.Int
	MaxCost *big.Int
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error MediaNodeKey_TooDear(uint256 cost, uint256 maxCost)
func MediaNodeKeyMediaNodeKeyTooDearErrorID() common.Hash {
	return common.HexToHash("0x25f5b24eb5ffafed9c699def2fae50da84ee0ac66f6210b4034d89fd4fbdb33e")
}

// UnpackMediaNodeKeyTooDearError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error MediaNodeKey_TooDear(uint256 cost, uint256 maxCost)
func (mediaNodeKey *MediaNodeKey) UnpackMediaNodeKeyTooDearError(raw []byte) (*MediaNodeKeyMediaNodeKeyTooDear, error) {
	out := new(MediaNodeKeyMediaNodeKeyTooDear)
	if err := mediaNodeKey.abi.UnpackIntoInterface(out, "MediaNodeKey_TooDear", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// MediaNodeKeyMediaNodeKeyUnbonding represents a MediaNodeKey_Unbonding error raised by the MediaNodeKey contract.
type MediaNodeKeyMediaNodeKeyUnbonding struct {
	Id    *big.Int
	Epoch uint64
	Until uint64
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error MediaNodeKey_Unbonding(uint256 id, uint64 epoch, uint64 until)
func MediaNodeKeyMediaNodeKeyUnbondingErrorID() common.Hash {
	return common.HexToHash("0xde38a58e666d67e275056f5ce97163cb079f957a9ec140f948694b1160c5b95b")
}

// UnpackMediaNodeKeyUnbondingError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error MediaNodeKey_Unbonding(uint256 id, uint64 epoch, uint64 until)
func (mediaNodeKey *MediaNodeKey) UnpackMediaNodeKeyUnbondingError(raw []byte) (*MediaNodeKeyMediaNodeKeyUnbonding, error) {
	out := new(MediaNodeKeyMediaNodeKeyUnbonding)
	if err := mediaNodeKey.abi.UnpackIntoInterface(out, "MediaNodeKey_Unbonding", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// MediaNodeKeySafeCastOverflowedUintDowncast represents a SafeCastOverflowedUintDowncast error raised by the MediaNodeKey contract.
type MediaNodeKeySafeCastOverflowedUintDowncast struct {
	Bits  uint8
	Value *big.Int
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error SafeCastOverflowedUintDowncast(uint8 bits, uint256 value)
func MediaNodeKeySafeCastOverflowedUintDowncastErrorID() common.Hash {
	return common.HexToHash("0x6dfcc6503a32754ce7a89698e18201fc5294fd4aad43edefee786f88423b1a12")
}

// UnpackSafeCastOverflowedUintDowncastError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error SafeCastOverflowedUintDowncast(uint8 bits, uint256 value)
func (mediaNodeKey *MediaNodeKey) UnpackSafeCastOverflowedUintDowncastError(raw []byte) (*MediaNodeKeySafeCastOverflowedUintDowncast, error) {
	out := new(MediaNodeKeySafeCastOverflowedUintDowncast)
	if err := mediaNodeKey.abi.UnpackIntoInterface(out, "SafeCastOverflowedUintDowncast", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// MediaNodeKeySafeERC20FailedOperation represents a SafeERC20FailedOperation error raised by the MediaNodeKey contract.
type MediaNodeKeySafeERC20FailedOperation struct {
	Token common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error SafeERC20FailedOperation(address token)
func MediaNodeKeySafeERC20FailedOperationErrorID() common.Hash {
	return common.HexToHash("0x5274afe73c98b4749fc91ffae6b7b574e7842cb2144a159e9377a5f20b32edf9")
}

// UnpackSafeERC20FailedOperationError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error SafeERC20FailedOperation(address token)
func (mediaNodeKey *MediaNodeKey) UnpackSafeERC20FailedOperationError(raw []byte) (*MediaNodeKeySafeERC20FailedOperation, error) {
	out := new(MediaNodeKeySafeERC20FailedOperation)
	if err := mediaNodeKey.abi.UnpackIntoInterface(out, "SafeERC20FailedOperation", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// PoolMetaData contains all meta data concerning the Pool contract.
var PoolMetaData = bind.MetaData{
	ABI: "[{\"inputs\":[{\"internalType\":\"address\",\"name\":\"manager\",\"type\":\"address\"},{\"internalType\":\"contractIERC20\",\"name\":\"hudl\",\"type\":\"address\"},{\"internalType\":\"contractIVeHUDL\",\"name\":\"veHudl\",\"type\":\"address\"}],\"stateMutability\":\"nonpayable\",\"type\":\"constructor\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"owner\",\"type\":\"address\"},{\"internalType\":\"uint32\",\"name\":\"count\",\"type\":\"uint32\"},{\"internalType\":\"uint64\",\"name\":\"epoch\",\"type\":\"uint64\"}],\"name\":\"addKeys\",\"outputs\":[],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"account\",\"type\":\"address\"}],\"name\":\"claim\",\"outputs\":[{\"internalType\":\"uint256\",\"name\":\"amount\",\"type\":\"uint256\"}],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"uint64\",\"name\":\"epoch\",\"type\":\"uint64\"}],\"name\":\"commissionAt\",\"outputs\":[{\"internalType\":\"uint16\",\"name\":\"\",\"type\":\"uint16\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"uint64[]\",\"name\":\"epochs\",\"type\":\"uint64[]\"},{\"internalType\":\"uint256[]\",\"name\":\"amounts\",\"type\":\"uint256[]\"}],\"name\":\"distribute\",\"outputs\":[],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[],\"name\":\"index\",\"outputs\":[{\"internalType\":\"uint256\",\"name\":\"perKey\",\"type\":\"uint256\"},{\"internalType\":\"uint256\",\"name\":\"dust\",\"type\":\"uint256\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"node_\",\"type\":\"address\"},{\"internalType\":\"address\",\"name\":\"operator_\",\"type\":\"address\"},{\"internalType\":\"uint16\",\"name\":\"commissionBps\",\"type\":\"uint16\"}],\"name\":\"initialize\",\"outputs\":[],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"uint64\",\"name\":\"epoch\",\"type\":\"uint64\"}],\"name\":\"keysAt\",\"outputs\":[{\"internalType\":\"uint256\",\"name\":\"\",\"type\":\"uint256\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"account\",\"type\":\"address\"}],\"name\":\"keysOf\",\"outputs\":[{\"internalType\":\"uint256\",\"name\":\"\",\"type\":\"uint256\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[],\"name\":\"lastEpoch\",\"outputs\":[{\"internalType\":\"uint64\",\"name\":\"\",\"type\":\"uint64\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[],\"name\":\"node\",\"outputs\":[{\"internalType\":\"address\",\"name\":\"\",\"type\":\"address\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[],\"name\":\"operator\",\"outputs\":[{\"internalType\":\"address\",\"name\":\"\",\"type\":\"address\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"account\",\"type\":\"address\"}],\"name\":\"owed\",\"outputs\":[{\"internalType\":\"uint256\",\"name\":\"amount\",\"type\":\"uint256\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"owner\",\"type\":\"address\"},{\"internalType\":\"uint32\",\"name\":\"counted\",\"type\":\"uint32\"},{\"internalType\":\"uint32\",\"name\":\"pending\",\"type\":\"uint32\"},{\"internalType\":\"uint64\",\"name\":\"epoch\",\"type\":\"uint64\"}],\"name\":\"removeKeys\",\"outputs\":[],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"uint16\",\"name\":\"bps\",\"type\":\"uint16\"},{\"internalType\":\"uint64\",\"name\":\"epoch\",\"type\":\"uint64\"},{\"internalType\":\"uint64\",\"name\":\"fromEpoch\",\"type\":\"uint64\"}],\"name\":\"setCommission\",\"outputs\":[],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"operator_\",\"type\":\"address\"}],\"name\":\"setOperator\",\"outputs\":[],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":true,\"internalType\":\"address\",\"name\":\"account\",\"type\":\"address\"},{\"indexed\":false,\"internalType\":\"uint256\",\"name\":\"amount\",\"type\":\"uint256\"}],\"name\":\"Claimed\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":false,\"internalType\":\"uint16\",\"name\":\"bps\",\"type\":\"uint16\"},{\"indexed\":false,\"internalType\":\"uint64\",\"name\":\"fromEpoch\",\"type\":\"uint64\"}],\"name\":\"CommissionSet\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":true,\"internalType\":\"uint64\",\"name\":\"epoch\",\"type\":\"uint64\"},{\"indexed\":false,\"internalType\":\"uint256\",\"name\":\"amount\",\"type\":\"uint256\"},{\"indexed\":false,\"internalType\":\"uint256\",\"name\":\"commission\",\"type\":\"uint256\"},{\"indexed\":false,\"internalType\":\"uint256\",\"name\":\"perKey\",\"type\":\"uint256\"},{\"indexed\":false,\"internalType\":\"uint256\",\"name\":\"keys\",\"type\":\"uint256\"}],\"name\":\"Distributed\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":false,\"internalType\":\"uint64\",\"name\":\"version\",\"type\":\"uint64\"}],\"name\":\"Initialized\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":true,\"internalType\":\"address\",\"name\":\"operator\",\"type\":\"address\"}],\"name\":\"OperatorSet\",\"type\":\"event\"},{\"inputs\":[],\"name\":\"InvalidInitialization\",\"type\":\"error\"},{\"inputs\":[],\"name\":\"NotInitializing\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"uint64\",\"name\":\"epoch\",\"type\":\"uint64\"},{\"internalType\":\"uint64\",\"name\":\"afterEpoch\",\"type\":\"uint64\"}],\"name\":\"Pool_EpochNotAscending\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"caller\",\"type\":\"address\"}],\"name\":\"Pool_NotManager\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"account\",\"type\":\"address\"}],\"name\":\"Pool_NothingOwed\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"uint8\",\"name\":\"bits\",\"type\":\"uint8\"},{\"internalType\":\"uint256\",\"name\":\"value\",\"type\":\"uint256\"}],\"name\":\"SafeCastOverflowedUintDowncast\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"token\",\"type\":\"address\"}],\"name\":\"SafeERC20FailedOperation\",\"type\":\"error\"}]",
	ID:  "6c11673406c7eb2c3aecbfe8edac872956",
}

// Pool is an auto generated Go binding around an Ethereum contract.
type Pool struct {
	abi abi.ABI
}

// GetABI returns the ABI associated with this contract binding.
func (c *Pool) GetABI() abi.ABI {
	return c.abi
}

// NewPool creates a new instance of Pool.
func NewPool() *Pool {
	parsed, err := PoolMetaData.ParseABI()
	if err != nil {
		panic(errors.New("invalid ABI: " + err.Error()))
	}
	return &Pool{abi: *parsed}
}

// Instance creates a wrapper for a deployed contract instance at the given address.
// Use this to create the instance object passed to abigen v2 library functions Call, Transact, etc.
func (c *Pool) Instance(backend bind.ContractBackend, addr common.Address) *bind.BoundContract {
	return bind.NewBoundContract(addr, c.abi, backend, backend, backend)
}

// PackConstructor is the Go binding used to pack the parameters required for
// contract deployment.
//
// Solidity: constructor(address manager, address hudl, address veHudl) returns()
func (pool *Pool) PackConstructor(manager common.Address, hudl common.Address, veHudl common.Address) []byte {
	enc, err := pool.abi.Pack("", manager, hudl, veHudl)
	if err != nil {
		panic(err)
	}
	return enc
}

// PackAddKeys is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x0a443e00.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function addKeys(address owner, uint32 count, uint64 epoch) returns()
func (pool *Pool) PackAddKeys(owner common.Address, count uint32, epoch uint64) []byte {
	enc, err := pool.abi.Pack("addKeys", owner, count, epoch)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackAddKeys is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x0a443e00.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function addKeys(address owner, uint32 count, uint64 epoch) returns()
func (pool *Pool) TryPackAddKeys(owner common.Address, count uint32, epoch uint64) ([]byte, error) {
	return pool.abi.Pack("addKeys", owner, count, epoch)
}

// PackClaim is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x1e83409a.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function claim(address account) returns(uint256 amount)
func (pool *Pool) PackClaim(account common.Address) []byte {
	enc, err := pool.abi.Pack("claim", account)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackClaim is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x1e83409a.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function claim(address account) returns(uint256 amount)
func (pool *Pool) TryPackClaim(account common.Address) ([]byte, error) {
	return pool.abi.Pack("claim", account)
}

// UnpackClaim is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x1e83409a.
//
// Solidity: function claim(address account) returns(uint256 amount)
func (pool *Pool) UnpackClaim(data []byte) (*big.Int, error) {
	out, err := pool.abi.Unpack("claim", data)
	if err != nil {
		return new(big.Int), err
	}
	out0 := abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	return out0, nil
}

// PackCommissionAt is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x5b6c0a34.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function commissionAt(uint64 epoch) view returns(uint16)
func (pool *Pool) PackCommissionAt(epoch uint64) []byte {
	enc, err := pool.abi.Pack("commissionAt", epoch)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackCommissionAt is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x5b6c0a34.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function commissionAt(uint64 epoch) view returns(uint16)
func (pool *Pool) TryPackCommissionAt(epoch uint64) ([]byte, error) {
	return pool.abi.Pack("commissionAt", epoch)
}

// UnpackCommissionAt is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x5b6c0a34.
//
// Solidity: function commissionAt(uint64 epoch) view returns(uint16)
func (pool *Pool) UnpackCommissionAt(data []byte) (uint16, error) {
	out, err := pool.abi.Unpack("commissionAt", data)
	if err != nil {
		return *new(uint16), err
	}
	out0 := *abi.ConvertType(out[0], new(uint16)).(*uint16)
	return out0, nil
}

// PackDistribute is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x0938b499.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function distribute(uint64[] epochs, uint256[] amounts) returns()
func (pool *Pool) PackDistribute(epochs []uint64, amounts []*big.Int) []byte {
	enc, err := pool.abi.Pack("distribute", epochs, amounts)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackDistribute is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x0938b499.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function distribute(uint64[] epochs, uint256[] amounts) returns()
func (pool *Pool) TryPackDistribute(epochs []uint64, amounts []*big.Int) ([]byte, error) {
	return pool.abi.Pack("distribute", epochs, amounts)
}

// PackIndex is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x2986c0e5.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function index() view returns(uint256 perKey, uint256 dust)
func (pool *Pool) PackIndex() []byte {
	enc, err := pool.abi.Pack("index")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackIndex is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x2986c0e5.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function index() view returns(uint256 perKey, uint256 dust)
func (pool *Pool) TryPackIndex() ([]byte, error) {
	return pool.abi.Pack("index")
}

// PoolIndexOutput serves as a container for the return parameters of contract
// method Index.
type PoolIndexOutput struct {
	PerKey *big.Int
	Dust   *big.Int
}

// UnpackIndex is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x2986c0e5.
//
// Solidity: function index() view returns(uint256 perKey, uint256 dust)
func (pool *Pool) UnpackIndex(data []byte) (PoolIndexOutput, error) {
	out, err := pool.abi.Unpack("index", data)
	outstruct := new(PoolIndexOutput)
	if err != nil {
		return *outstruct, err
	}
	outstruct.PerKey = abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	outstruct.Dust = abi.ConvertType(out[1], new(big.Int)).(*big.Int)
	return *outstruct, nil
}

// PackInitialize is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x7ebef529.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function initialize(address node_, address operator_, uint16 commissionBps) returns()
func (pool *Pool) PackInitialize(node common.Address, operator common.Address, commissionBps uint16) []byte {
	enc, err := pool.abi.Pack("initialize", node, operator, commissionBps)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackInitialize is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x7ebef529.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function initialize(address node_, address operator_, uint16 commissionBps) returns()
func (pool *Pool) TryPackInitialize(node common.Address, operator common.Address, commissionBps uint16) ([]byte, error) {
	return pool.abi.Pack("initialize", node, operator, commissionBps)
}

// PackKeysAt is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x653b7a62.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function keysAt(uint64 epoch) view returns(uint256)
func (pool *Pool) PackKeysAt(epoch uint64) []byte {
	enc, err := pool.abi.Pack("keysAt", epoch)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackKeysAt is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x653b7a62.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function keysAt(uint64 epoch) view returns(uint256)
func (pool *Pool) TryPackKeysAt(epoch uint64) ([]byte, error) {
	return pool.abi.Pack("keysAt", epoch)
}

// UnpackKeysAt is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x653b7a62.
//
// Solidity: function keysAt(uint64 epoch) view returns(uint256)
func (pool *Pool) UnpackKeysAt(data []byte) (*big.Int, error) {
	out, err := pool.abi.Unpack("keysAt", data)
	if err != nil {
		return new(big.Int), err
	}
	out0 := abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	return out0, nil
}

// PackKeysOf is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x0e959b29.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function keysOf(address account) view returns(uint256)
func (pool *Pool) PackKeysOf(account common.Address) []byte {
	enc, err := pool.abi.Pack("keysOf", account)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackKeysOf is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x0e959b29.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function keysOf(address account) view returns(uint256)
func (pool *Pool) TryPackKeysOf(account common.Address) ([]byte, error) {
	return pool.abi.Pack("keysOf", account)
}

// UnpackKeysOf is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x0e959b29.
//
// Solidity: function keysOf(address account) view returns(uint256)
func (pool *Pool) UnpackKeysOf(data []byte) (*big.Int, error) {
	out, err := pool.abi.Unpack("keysOf", data)
	if err != nil {
		return new(big.Int), err
	}
	out0 := abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	return out0, nil
}

// PackLastEpoch is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x06a4c983.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function lastEpoch() view returns(uint64)
func (pool *Pool) PackLastEpoch() []byte {
	enc, err := pool.abi.Pack("lastEpoch")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackLastEpoch is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x06a4c983.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function lastEpoch() view returns(uint64)
func (pool *Pool) TryPackLastEpoch() ([]byte, error) {
	return pool.abi.Pack("lastEpoch")
}

// UnpackLastEpoch is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x06a4c983.
//
// Solidity: function lastEpoch() view returns(uint64)
func (pool *Pool) UnpackLastEpoch(data []byte) (uint64, error) {
	out, err := pool.abi.Unpack("lastEpoch", data)
	if err != nil {
		return *new(uint64), err
	}
	out0 := *abi.ConvertType(out[0], new(uint64)).(*uint64)
	return out0, nil
}

// PackNode is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xd70754ec.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function node() view returns(address)
func (pool *Pool) PackNode() []byte {
	enc, err := pool.abi.Pack("node")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackNode is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xd70754ec.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function node() view returns(address)
func (pool *Pool) TryPackNode() ([]byte, error) {
	return pool.abi.Pack("node")
}

// UnpackNode is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xd70754ec.
//
// Solidity: function node() view returns(address)
func (pool *Pool) UnpackNode(data []byte) (common.Address, error) {
	out, err := pool.abi.Unpack("node", data)
	if err != nil {
		return *new(common.Address), err
	}
	out0 := *abi.ConvertType(out[0], new(common.Address)).(*common.Address)
	return out0, nil
}

// PackOperator is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x570ca735.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function operator() view returns(address)
func (pool *Pool) PackOperator() []byte {
	enc, err := pool.abi.Pack("operator")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackOperator is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x570ca735.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function operator() view returns(address)
func (pool *Pool) TryPackOperator() ([]byte, error) {
	return pool.abi.Pack("operator")
}

// UnpackOperator is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x570ca735.
//
// Solidity: function operator() view returns(address)
func (pool *Pool) UnpackOperator(data []byte) (common.Address, error) {
	out, err := pool.abi.Unpack("operator", data)
	if err != nil {
		return *new(common.Address), err
	}
	out0 := *abi.ConvertType(out[0], new(common.Address)).(*common.Address)
	return out0, nil
}

// PackOwed is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xdf18e047.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function owed(address account) view returns(uint256 amount)
func (pool *Pool) PackOwed(account common.Address) []byte {
	enc, err := pool.abi.Pack("owed", account)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackOwed is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xdf18e047.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function owed(address account) view returns(uint256 amount)
func (pool *Pool) TryPackOwed(account common.Address) ([]byte, error) {
	return pool.abi.Pack("owed", account)
}

// UnpackOwed is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xdf18e047.
//
// Solidity: function owed(address account) view returns(uint256 amount)
func (pool *Pool) UnpackOwed(data []byte) (*big.Int, error) {
	out, err := pool.abi.Unpack("owed", data)
	if err != nil {
		return new(big.Int), err
	}
	out0 := abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	return out0, nil
}

// PackRemoveKeys is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xf233e47e.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function removeKeys(address owner, uint32 counted, uint32 pending, uint64 epoch) returns()
func (pool *Pool) PackRemoveKeys(owner common.Address, counted uint32, pending uint32, epoch uint64) []byte {
	enc, err := pool.abi.Pack("removeKeys", owner, counted, pending, epoch)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackRemoveKeys is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xf233e47e.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function removeKeys(address owner, uint32 counted, uint32 pending, uint64 epoch) returns()
func (pool *Pool) TryPackRemoveKeys(owner common.Address, counted uint32, pending uint32, epoch uint64) ([]byte, error) {
	return pool.abi.Pack("removeKeys", owner, counted, pending, epoch)
}

// PackSetCommission is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x11ad9afd.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function setCommission(uint16 bps, uint64 epoch, uint64 fromEpoch) returns()
func (pool *Pool) PackSetCommission(bps uint16, epoch uint64, fromEpoch uint64) []byte {
	enc, err := pool.abi.Pack("setCommission", bps, epoch, fromEpoch)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackSetCommission is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x11ad9afd.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function setCommission(uint16 bps, uint64 epoch, uint64 fromEpoch) returns()
func (pool *Pool) TryPackSetCommission(bps uint16, epoch uint64, fromEpoch uint64) ([]byte, error) {
	return pool.abi.Pack("setCommission", bps, epoch, fromEpoch)
}

// PackSetOperator is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xb3ab15fb.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function setOperator(address operator_) returns()
func (pool *Pool) PackSetOperator(operator common.Address) []byte {
	enc, err := pool.abi.Pack("setOperator", operator)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackSetOperator is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xb3ab15fb.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function setOperator(address operator_) returns()
func (pool *Pool) TryPackSetOperator(operator common.Address) ([]byte, error) {
	return pool.abi.Pack("setOperator", operator)
}

// PoolClaimed represents a Claimed event raised by the Pool contract.
type PoolClaimed struct {
	Account common.Address
	Amount  *big.Int
	Raw     *types.Log // Blockchain specific contextual infos
}

const PoolClaimedEventName = "Claimed"

// ContractEventName returns the user-defined event name.
func (PoolClaimed) ContractEventName() string {
	return PoolClaimedEventName
}

// UnpackClaimedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event Claimed(address indexed account, uint256 amount)
func (pool *Pool) UnpackClaimedEvent(log *types.Log) (*PoolClaimed, error) {
	event := "Claimed"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != pool.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(PoolClaimed)
	if len(log.Data) > 0 {
		if err := pool.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range pool.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// PoolCommissionSet represents a CommissionSet event raised by the Pool contract.
type PoolCommissionSet struct {
	Bps       uint16
	FromEpoch uint64
	Raw       *types.Log // Blockchain specific contextual infos
}

const PoolCommissionSetEventName = "CommissionSet"

// ContractEventName returns the user-defined event name.
func (PoolCommissionSet) ContractEventName() string {
	return PoolCommissionSetEventName
}

// UnpackCommissionSetEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event CommissionSet(uint16 bps, uint64 fromEpoch)
func (pool *Pool) UnpackCommissionSetEvent(log *types.Log) (*PoolCommissionSet, error) {
	event := "CommissionSet"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != pool.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(PoolCommissionSet)
	if len(log.Data) > 0 {
		if err := pool.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range pool.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// PoolDistributed represents a Distributed event raised by the Pool contract.
type PoolDistributed struct {
	Epoch      uint64
	Amount     *big.Int
	Commission *big.Int
	PerKey     *big.Int
	Keys       *big.Int
	Raw        *types.Log // Blockchain specific contextual infos
}

const PoolDistributedEventName = "Distributed"

// ContractEventName returns the user-defined event name.
func (PoolDistributed) ContractEventName() string {
	return PoolDistributedEventName
}

// UnpackDistributedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event Distributed(uint64 indexed epoch, uint256 amount, uint256 commission, uint256 perKey, uint256 keys)
func (pool *Pool) UnpackDistributedEvent(log *types.Log) (*PoolDistributed, error) {
	event := "Distributed"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != pool.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(PoolDistributed)
	if len(log.Data) > 0 {
		if err := pool.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range pool.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// PoolInitialized represents a Initialized event raised by the Pool contract.
type PoolInitialized struct {
	Version uint64
	Raw     *types.Log // Blockchain specific contextual infos
}

const PoolInitializedEventName = "Initialized"

// ContractEventName returns the user-defined event name.
func (PoolInitialized) ContractEventName() string {
	return PoolInitializedEventName
}

// UnpackInitializedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event Initialized(uint64 version)
func (pool *Pool) UnpackInitializedEvent(log *types.Log) (*PoolInitialized, error) {
	event := "Initialized"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != pool.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(PoolInitialized)
	if len(log.Data) > 0 {
		if err := pool.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range pool.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// PoolOperatorSet represents a OperatorSet event raised by the Pool contract.
type PoolOperatorSet struct {
	Operator common.Address
	Raw      *types.Log // Blockchain specific contextual infos
}

const PoolOperatorSetEventName = "OperatorSet"

// ContractEventName returns the user-defined event name.
func (PoolOperatorSet) ContractEventName() string {
	return PoolOperatorSetEventName
}

// UnpackOperatorSetEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event OperatorSet(address indexed operator)
func (pool *Pool) UnpackOperatorSetEvent(log *types.Log) (*PoolOperatorSet, error) {
	event := "OperatorSet"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != pool.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(PoolOperatorSet)
	if len(log.Data) > 0 {
		if err := pool.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range pool.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// UnpackError attempts to decode the provided error data using user-defined
// error definitions.
func (pool *Pool) UnpackError(raw []byte) (any, error) {
	if bytes.Equal(raw[:4], pool.abi.Errors["InvalidInitialization"].ID.Bytes()[:4]) {
		return pool.UnpackInvalidInitializationError(raw[4:])
	}
	if bytes.Equal(raw[:4], pool.abi.Errors["NotInitializing"].ID.Bytes()[:4]) {
		return pool.UnpackNotInitializingError(raw[4:])
	}
	if bytes.Equal(raw[:4], pool.abi.Errors["Pool_EpochNotAscending"].ID.Bytes()[:4]) {
		return pool.UnpackPoolEpochNotAscendingError(raw[4:])
	}
	if bytes.Equal(raw[:4], pool.abi.Errors["Pool_NotManager"].ID.Bytes()[:4]) {
		return pool.UnpackPoolNotManagerError(raw[4:])
	}
	if bytes.Equal(raw[:4], pool.abi.Errors["Pool_NothingOwed"].ID.Bytes()[:4]) {
		return pool.UnpackPoolNothingOwedError(raw[4:])
	}
	if bytes.Equal(raw[:4], pool.abi.Errors["SafeCastOverflowedUintDowncast"].ID.Bytes()[:4]) {
		return pool.UnpackSafeCastOverflowedUintDowncastError(raw[4:])
	}
	if bytes.Equal(raw[:4], pool.abi.Errors["SafeERC20FailedOperation"].ID.Bytes()[:4]) {
		return pool.UnpackSafeERC20FailedOperationError(raw[4:])
	}
	return nil, errors.New("Unknown error")
}

// PoolInvalidInitialization represents a InvalidInitialization error raised by the Pool contract.
type PoolInvalidInitialization struct {
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error InvalidInitialization()
func PoolInvalidInitializationErrorID() common.Hash {
	return common.HexToHash("0xf92ee8a957075833165f68c320933b1a1294aafc84ee6e0dd3fb178008f9aaf5")
}

// UnpackInvalidInitializationError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error InvalidInitialization()
func (pool *Pool) UnpackInvalidInitializationError(raw []byte) (*PoolInvalidInitialization, error) {
	out := new(PoolInvalidInitialization)
	if err := pool.abi.UnpackIntoInterface(out, "InvalidInitialization", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// PoolNotInitializing represents a NotInitializing error raised by the Pool contract.
type PoolNotInitializing struct {
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error NotInitializing()
func PoolNotInitializingErrorID() common.Hash {
	return common.HexToHash("0xd7e6bcf8597daa127dc9f0048d2f08d5ef140a2cb659feabd700beff1f7a8302")
}

// UnpackNotInitializingError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error NotInitializing()
func (pool *Pool) UnpackNotInitializingError(raw []byte) (*PoolNotInitializing, error) {
	out := new(PoolNotInitializing)
	if err := pool.abi.UnpackIntoInterface(out, "NotInitializing", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// PoolPoolEpochNotAscending represents a Pool_EpochNotAscending error raised by the Pool contract.
type PoolPoolEpochNotAscending struct {
	Epoch      uint64
	AfterEpoch uint64
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error Pool_EpochNotAscending(uint64 epoch, uint64 afterEpoch)
func PoolPoolEpochNotAscendingErrorID() common.Hash {
	return common.HexToHash("0xb45d6922c3e2b1cc5882aa33ed615d0f748d854aa8f29c7161b1852080d841b9")
}

// UnpackPoolEpochNotAscendingError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error Pool_EpochNotAscending(uint64 epoch, uint64 afterEpoch)
func (pool *Pool) UnpackPoolEpochNotAscendingError(raw []byte) (*PoolPoolEpochNotAscending, error) {
	out := new(PoolPoolEpochNotAscending)
	if err := pool.abi.UnpackIntoInterface(out, "Pool_EpochNotAscending", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// PoolPoolNotManager represents a Pool_NotManager error raised by the Pool contract.
type PoolPoolNotManager struct {
	Caller common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error Pool_NotManager(address caller)
func PoolPoolNotManagerErrorID() common.Hash {
	return common.HexToHash("0x07057cd52e71ee2ca618de9389fe50c66085c32b4c0c2c68550100cc836b4aec")
}

// UnpackPoolNotManagerError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error Pool_NotManager(address caller)
func (pool *Pool) UnpackPoolNotManagerError(raw []byte) (*PoolPoolNotManager, error) {
	out := new(PoolPoolNotManager)
	if err := pool.abi.UnpackIntoInterface(out, "Pool_NotManager", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// PoolPoolNothingOwed represents a Pool_NothingOwed error raised by the Pool contract.
type PoolPoolNothingOwed struct {
	Account common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error Pool_NothingOwed(address account)
func PoolPoolNothingOwedErrorID() common.Hash {
	return common.HexToHash("0xde5f916b8ad01d6e02c7e72f00abc52ade979a423195d1d17d3cd18062f5d3d3")
}

// UnpackPoolNothingOwedError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error Pool_NothingOwed(address account)
func (pool *Pool) UnpackPoolNothingOwedError(raw []byte) (*PoolPoolNothingOwed, error) {
	out := new(PoolPoolNothingOwed)
	if err := pool.abi.UnpackIntoInterface(out, "Pool_NothingOwed", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// PoolSafeCastOverflowedUintDowncast represents a SafeCastOverflowedUintDowncast error raised by the Pool contract.
type PoolSafeCastOverflowedUintDowncast struct {
	Bits  uint8
	Value *big.Int
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error SafeCastOverflowedUintDowncast(uint8 bits, uint256 value)
func PoolSafeCastOverflowedUintDowncastErrorID() common.Hash {
	return common.HexToHash("0x6dfcc6503a32754ce7a89698e18201fc5294fd4aad43edefee786f88423b1a12")
}

// UnpackSafeCastOverflowedUintDowncastError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error SafeCastOverflowedUintDowncast(uint8 bits, uint256 value)
func (pool *Pool) UnpackSafeCastOverflowedUintDowncastError(raw []byte) (*PoolSafeCastOverflowedUintDowncast, error) {
	out := new(PoolSafeCastOverflowedUintDowncast)
	if err := pool.abi.UnpackIntoInterface(out, "SafeCastOverflowedUintDowncast", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// PoolSafeERC20FailedOperation represents a SafeERC20FailedOperation error raised by the Pool contract.
type PoolSafeERC20FailedOperation struct {
	Token common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error SafeERC20FailedOperation(address token)
func PoolSafeERC20FailedOperationErrorID() common.Hash {
	return common.HexToHash("0x5274afe73c98b4749fc91ffae6b7b574e7842cb2144a159e9377a5f20b32edf9")
}

// UnpackSafeERC20FailedOperationError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error SafeERC20FailedOperation(address token)
func (pool *Pool) UnpackSafeERC20FailedOperationError(raw []byte) (*PoolSafeERC20FailedOperation, error) {
	out := new(PoolSafeERC20FailedOperation)
	if err := pool.abi.UnpackIntoInterface(out, "SafeERC20FailedOperation", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// PoolManagerMetaData contains all meta data concerning the PoolManager contract.
var PoolManagerMetaData = bind.MetaData{
	ABI: "[{\"inputs\":[{\"internalType\":\"contractIMediaNodeKey\",\"name\":\"keys\",\"type\":\"address\"},{\"internalType\":\"address\",\"name\":\"pool\",\"type\":\"address\"},{\"internalType\":\"contractIEpochClock\",\"name\":\"clock\",\"type\":\"address\"}],\"stateMutability\":\"nonpayable\",\"type\":\"constructor\"},{\"inputs\":[],\"name\":\"UPGRADE_INTERFACE_VERSION\",\"outputs\":[{\"internalType\":\"string\",\"name\":\"\",\"type\":\"string\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"node\",\"type\":\"address\"}],\"name\":\"acceptOperator\",\"outputs\":[],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[],\"name\":\"activeNodes\",\"outputs\":[{\"internalType\":\"uint256\",\"name\":\"\",\"type\":\"uint256\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[],\"name\":\"authority\",\"outputs\":[{\"internalType\":\"address\",\"name\":\"\",\"type\":\"address\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[],\"name\":\"bounds\",\"outputs\":[{\"components\":[{\"internalType\":\"uint32\",\"name\":\"maxKeys\",\"type\":\"uint32\"},{\"internalType\":\"uint32\",\"name\":\"mbpsPerKey\",\"type\":\"uint32\"},{\"internalType\":\"uint32\",\"name\":\"maxActiveNodes\",\"type\":\"uint32\"},{\"internalType\":\"uint16\",\"name\":\"maxCommissionBps\",\"type\":\"uint16\"},{\"internalType\":\"uint16\",\"name\":\"commissionNotice\",\"type\":\"uint16\"},{\"internalType\":\"uint16\",\"name\":\"unbonding\",\"type\":\"uint16\"}],\"internalType\":\"structIPoolManager.Bounds\",\"name\":\"\",\"type\":\"tuple\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"account\",\"type\":\"address\"},{\"internalType\":\"address[]\",\"name\":\"nodes\",\"type\":\"address[]\"}],\"name\":\"claim\",\"outputs\":[{\"internalType\":\"uint256\",\"name\":\"amount\",\"type\":\"uint256\"}],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"node\",\"type\":\"address\"},{\"internalType\":\"address\",\"name\":\"operator\",\"type\":\"address\"},{\"internalType\":\"uint16\",\"name\":\"commissionBps\",\"type\":\"uint16\"},{\"internalType\":\"uint256\",\"name\":\"deadline\",\"type\":\"uint256\"}],\"name\":\"consentDigest\",\"outputs\":[{\"internalType\":\"bytes32\",\"name\":\"\",\"type\":\"bytes32\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"node\",\"type\":\"address\"},{\"internalType\":\"uint16\",\"name\":\"commissionBps\",\"type\":\"uint16\"},{\"internalType\":\"uint256\",\"name\":\"deadline\",\"type\":\"uint256\"},{\"internalType\":\"bytes\",\"name\":\"consent\",\"type\":\"bytes\"}],\"name\":\"createPool\",\"outputs\":[{\"internalType\":\"address\",\"name\":\"pool\",\"type\":\"address\"}],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"node\",\"type\":\"address\"},{\"internalType\":\"uint256[]\",\"name\":\"ids\",\"type\":\"uint256[]\"}],\"name\":\"delegate\",\"outputs\":[],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"node\",\"type\":\"address\"},{\"internalType\":\"uint64[]\",\"name\":\"epochs\",\"type\":\"uint64[]\"},{\"internalType\":\"uint256[]\",\"name\":\"amounts\",\"type\":\"uint256[]\"},{\"internalType\":\"uint32\",\"name\":\"provenMbps_\",\"type\":\"uint32\"}],\"name\":\"distribute\",\"outputs\":[],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[],\"name\":\"implementation\",\"outputs\":[{\"internalType\":\"address\",\"name\":\"\",\"type\":\"address\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"authority\",\"type\":\"address\"},{\"components\":[{\"internalType\":\"uint32\",\"name\":\"maxKeys\",\"type\":\"uint32\"},{\"internalType\":\"uint32\",\"name\":\"mbpsPerKey\",\"type\":\"uint32\"},{\"internalType\":\"uint32\",\"name\":\"maxActiveNodes\",\"type\":\"uint32\"},{\"internalType\":\"uint16\",\"name\":\"maxCommissionBps\",\"type\":\"uint16\"},{\"internalType\":\"uint16\",\"name\":\"commissionNotice\",\"type\":\"uint16\"},{\"internalType\":\"uint16\",\"name\":\"unbonding\",\"type\":\"uint16\"}],\"internalType\":\"structIPoolManager.Bounds\",\"name\":\"bounds_\",\"type\":\"tuple\"}],\"name\":\"initialize\",\"outputs\":[],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[],\"name\":\"isConsumingScheduledOp\",\"outputs\":[{\"internalType\":\"bytes4\",\"name\":\"\",\"type\":\"bytes4\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"pool\",\"type\":\"address\"}],\"name\":\"isPool\",\"outputs\":[{\"internalType\":\"bool\",\"name\":\"\",\"type\":\"bool\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"node\",\"type\":\"address\"}],\"name\":\"keysOf\",\"outputs\":[{\"internalType\":\"uint256\",\"name\":\"keys\",\"type\":\"uint256\"},{\"internalType\":\"uint256\",\"name\":\"most\",\"type\":\"uint256\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"uint32\",\"name\":\"number\",\"type\":\"uint32\"}],\"name\":\"nodeOf\",\"outputs\":[{\"internalType\":\"address\",\"name\":\"\",\"type\":\"address\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"from\",\"type\":\"address\"},{\"internalType\":\"address\",\"name\":\"\",\"type\":\"address\"},{\"internalType\":\"uint256[]\",\"name\":\"ids\",\"type\":\"uint256[]\"}],\"name\":\"onKeyTransfer\",\"outputs\":[],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[],\"name\":\"pause\",\"outputs\":[],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[],\"name\":\"paused\",\"outputs\":[{\"internalType\":\"bool\",\"name\":\"\",\"type\":\"bool\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[],\"name\":\"poolCount\",\"outputs\":[{\"internalType\":\"uint256\",\"name\":\"\",\"type\":\"uint256\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"node\",\"type\":\"address\"}],\"name\":\"poolOf\",\"outputs\":[{\"internalType\":\"address\",\"name\":\"\",\"type\":\"address\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"node\",\"type\":\"address\"},{\"internalType\":\"address\",\"name\":\"operator\",\"type\":\"address\"}],\"name\":\"proposeOperator\",\"outputs\":[],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"node\",\"type\":\"address\"}],\"name\":\"provenMbps\",\"outputs\":[{\"internalType\":\"uint32\",\"name\":\"\",\"type\":\"uint32\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[],\"name\":\"proxiableUUID\",\"outputs\":[{\"internalType\":\"bytes32\",\"name\":\"\",\"type\":\"bytes32\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"newAuthority\",\"type\":\"address\"}],\"name\":\"setAuthority\",\"outputs\":[],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"components\":[{\"internalType\":\"uint32\",\"name\":\"maxKeys\",\"type\":\"uint32\"},{\"internalType\":\"uint32\",\"name\":\"mbpsPerKey\",\"type\":\"uint32\"},{\"internalType\":\"uint32\",\"name\":\"maxActiveNodes\",\"type\":\"uint32\"},{\"internalType\":\"uint16\",\"name\":\"maxCommissionBps\",\"type\":\"uint16\"},{\"internalType\":\"uint16\",\"name\":\"commissionNotice\",\"type\":\"uint16\"},{\"internalType\":\"uint16\",\"name\":\"unbonding\",\"type\":\"uint16\"}],\"internalType\":\"structIPoolManager.Bounds\",\"name\":\"bounds_\",\"type\":\"tuple\"}],\"name\":\"setBounds\",\"outputs\":[],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"node\",\"type\":\"address\"},{\"internalType\":\"uint16\",\"name\":\"bps\",\"type\":\"uint16\"}],\"name\":\"setCommission\",\"outputs\":[],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"node\",\"type\":\"address\"},{\"internalType\":\"uint256[]\",\"name\":\"ids\",\"type\":\"uint256[]\"}],\"name\":\"undelegate\",\"outputs\":[],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[],\"name\":\"unpause\",\"outputs\":[],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"newImplementation\",\"type\":\"address\"},{\"internalType\":\"bytes\",\"name\":\"data\",\"type\":\"bytes\"}],\"name\":\"upgradeToAndCall\",\"outputs\":[],\"stateMutability\":\"payable\",\"type\":\"function\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":false,\"internalType\":\"address\",\"name\":\"authority\",\"type\":\"address\"}],\"name\":\"AuthorityUpdated\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[{\"components\":[{\"internalType\":\"uint32\",\"name\":\"maxKeys\",\"type\":\"uint32\"},{\"internalType\":\"uint32\",\"name\":\"mbpsPerKey\",\"type\":\"uint32\"},{\"internalType\":\"uint32\",\"name\":\"maxActiveNodes\",\"type\":\"uint32\"},{\"internalType\":\"uint16\",\"name\":\"maxCommissionBps\",\"type\":\"uint16\"},{\"internalType\":\"uint16\",\"name\":\"commissionNotice\",\"type\":\"uint16\"},{\"internalType\":\"uint16\",\"name\":\"unbonding\",\"type\":\"uint16\"}],\"indexed\":false,\"internalType\":\"structIPoolManager.Bounds\",\"name\":\"bounds\",\"type\":\"tuple\"}],\"name\":\"BoundsSet\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":true,\"internalType\":\"address\",\"name\":\"owner\",\"type\":\"address\"},{\"indexed\":true,\"internalType\":\"address\",\"name\":\"node\",\"type\":\"address\"},{\"indexed\":false,\"internalType\":\"uint256[]\",\"name\":\"ids\",\"type\":\"uint256[]\"},{\"indexed\":false,\"internalType\":\"uint64\",\"name\":\"countsFrom\",\"type\":\"uint64\"}],\"name\":\"Delegated\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":false,\"internalType\":\"uint64\",\"name\":\"version\",\"type\":\"uint64\"}],\"name\":\"Initialized\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":true,\"internalType\":\"address\",\"name\":\"node\",\"type\":\"address\"},{\"indexed\":true,\"internalType\":\"address\",\"name\":\"operator\",\"type\":\"address\"}],\"name\":\"OperatorProposed\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":false,\"internalType\":\"address\",\"name\":\"account\",\"type\":\"address\"}],\"name\":\"Paused\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":true,\"internalType\":\"address\",\"name\":\"node\",\"type\":\"address\"},{\"indexed\":true,\"internalType\":\"address\",\"name\":\"pool\",\"type\":\"address\"},{\"indexed\":true,\"internalType\":\"address\",\"name\":\"operator\",\"type\":\"address\"},{\"indexed\":false,\"internalType\":\"uint32\",\"name\":\"number\",\"type\":\"uint32\"},{\"indexed\":false,\"internalType\":\"uint16\",\"name\":\"commissionBps\",\"type\":\"uint16\"}],\"name\":\"PoolCreated\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":true,\"internalType\":\"address\",\"name\":\"node\",\"type\":\"address\"},{\"indexed\":false,\"internalType\":\"uint32\",\"name\":\"provenMbps\",\"type\":\"uint32\"}],\"name\":\"ProvenMbpsSet\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":true,\"internalType\":\"address\",\"name\":\"owner\",\"type\":\"address\"},{\"indexed\":true,\"internalType\":\"address\",\"name\":\"node\",\"type\":\"address\"},{\"indexed\":false,\"internalType\":\"uint256[]\",\"name\":\"ids\",\"type\":\"uint256[]\"},{\"indexed\":false,\"internalType\":\"uint64\",\"name\":\"countedBefore\",\"type\":\"uint64\"}],\"name\":\"Undelegated\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":false,\"internalType\":\"address\",\"name\":\"account\",\"type\":\"address\"}],\"name\":\"Unpaused\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":true,\"internalType\":\"address\",\"name\":\"implementation\",\"type\":\"address\"}],\"name\":\"Upgraded\",\"type\":\"event\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"authority\",\"type\":\"address\"}],\"name\":\"AccessManagedInvalidAuthority\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"caller\",\"type\":\"address\"},{\"internalType\":\"uint32\",\"name\":\"delay\",\"type\":\"uint32\"}],\"name\":\"AccessManagedRequiredDelay\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"caller\",\"type\":\"address\"}],\"name\":\"AccessManagedUnauthorized\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"target\",\"type\":\"address\"}],\"name\":\"AddressEmptyCode\",\"type\":\"error\"},{\"inputs\":[],\"name\":\"ECDSAInvalidSignature\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"uint256\",\"name\":\"length\",\"type\":\"uint256\"}],\"name\":\"ECDSAInvalidSignatureLength\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"bytes32\",\"name\":\"s\",\"type\":\"bytes32\"}],\"name\":\"ECDSAInvalidSignatureS\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"implementation\",\"type\":\"address\"}],\"name\":\"ERC1967InvalidImplementation\",\"type\":\"error\"},{\"inputs\":[],\"name\":\"ERC1967NonPayable\",\"type\":\"error\"},{\"inputs\":[],\"name\":\"EnforcedPause\",\"type\":\"error\"},{\"inputs\":[],\"name\":\"ExpectedPause\",\"type\":\"error\"},{\"inputs\":[],\"name\":\"FailedCall\",\"type\":\"error\"},{\"inputs\":[],\"name\":\"InvalidInitialization\",\"type\":\"error\"},{\"inputs\":[],\"name\":\"NotInitializing\",\"type\":\"error\"},{\"inputs\":[],\"name\":\"PoolManager_BadBounds\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"uint16\",\"name\":\"bps\",\"type\":\"uint16\"},{\"internalType\":\"uint16\",\"name\":\"most\",\"type\":\"uint16\"}],\"name\":\"PoolManager_CommissionTooHigh\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"uint256\",\"name\":\"deadline\",\"type\":\"uint256\"},{\"internalType\":\"uint256\",\"name\":\"now_\",\"type\":\"uint256\"}],\"name\":\"PoolManager_ConsentExpired\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"uint64\",\"name\":\"epoch\",\"type\":\"uint64\"},{\"internalType\":\"uint64\",\"name\":\"currentEpoch\",\"type\":\"uint64\"}],\"name\":\"PoolManager_EpochNotOver\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"uint256\",\"name\":\"epochs\",\"type\":\"uint256\"},{\"internalType\":\"uint256\",\"name\":\"amounts\",\"type\":\"uint256\"}],\"name\":\"PoolManager_LengthsDiffer\",\"type\":\"error\"},{\"inputs\":[],\"name\":\"PoolManager_NoKeys\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"node\",\"type\":\"address\"}],\"name\":\"PoolManager_NoPool\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"uint256\",\"name\":\"id\",\"type\":\"uint256\"},{\"internalType\":\"uint32\",\"name\":\"pool\",\"type\":\"uint32\"},{\"internalType\":\"uint32\",\"name\":\"wanted\",\"type\":\"uint32\"}],\"name\":\"PoolManager_NotDelegatedHere\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"caller\",\"type\":\"address\"}],\"name\":\"PoolManager_NotKeyContract\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"node\",\"type\":\"address\"},{\"internalType\":\"address\",\"name\":\"signer\",\"type\":\"address\"}],\"name\":\"PoolManager_NotNodesConsent\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"node\",\"type\":\"address\"},{\"internalType\":\"address\",\"name\":\"caller\",\"type\":\"address\"},{\"internalType\":\"address\",\"name\":\"operator\",\"type\":\"address\"}],\"name\":\"PoolManager_NotOperator\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"node\",\"type\":\"address\"},{\"internalType\":\"address\",\"name\":\"caller\",\"type\":\"address\"},{\"internalType\":\"address\",\"name\":\"proposed\",\"type\":\"address\"}],\"name\":\"PoolManager_NotProposed\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"node\",\"type\":\"address\"},{\"internalType\":\"address\",\"name\":\"pool\",\"type\":\"address\"}],\"name\":\"PoolManager_PoolExists\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"node\",\"type\":\"address\"},{\"internalType\":\"uint256\",\"name\":\"keys\",\"type\":\"uint256\"},{\"internalType\":\"uint256\",\"name\":\"most\",\"type\":\"uint256\"}],\"name\":\"PoolManager_TooManyKeys\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"uint256\",\"name\":\"active\",\"type\":\"uint256\"},{\"internalType\":\"uint256\",\"name\":\"most\",\"type\":\"uint256\"}],\"name\":\"PoolManager_TooManyNodes\",\"type\":\"error\"},{\"inputs\":[],\"name\":\"ReentrancyGuardReentrantCall\",\"type\":\"error\"},{\"inputs\":[],\"name\":\"UUPSUnauthorizedCallContext\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"bytes32\",\"name\":\"slot\",\"type\":\"bytes32\"}],\"name\":\"UUPSUnsupportedProxiableUUID\",\"type\":\"error\"}]",
	ID:  "7efd1e7f35a8a8f4215bc110e0fe1db63b",
}

// PoolManager is an auto generated Go binding around an Ethereum contract.
type PoolManager struct {
	abi abi.ABI
}

// GetABI returns the ABI associated with this contract binding.
func (c *PoolManager) GetABI() abi.ABI {
	return c.abi
}

// NewPoolManager creates a new instance of PoolManager.
func NewPoolManager() *PoolManager {
	parsed, err := PoolManagerMetaData.ParseABI()
	if err != nil {
		panic(errors.New("invalid ABI: " + err.Error()))
	}
	return &PoolManager{abi: *parsed}
}

// Instance creates a wrapper for a deployed contract instance at the given address.
// Use this to create the instance object passed to abigen v2 library functions Call, Transact, etc.
func (c *PoolManager) Instance(backend bind.ContractBackend, addr common.Address) *bind.BoundContract {
	return bind.NewBoundContract(addr, c.abi, backend, backend, backend)
}

// PackConstructor is the Go binding used to pack the parameters required for
// contract deployment.
//
// Solidity: constructor(address keys, address pool, address clock) returns()
func (poolManager *PoolManager) PackConstructor(keys common.Address, pool common.Address, clock common.Address) []byte {
	enc, err := poolManager.abi.Pack("", keys, pool, clock)
	if err != nil {
		panic(err)
	}
	return enc
}

// PackUPGRADEINTERFACEVERSION is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xad3cb1cc.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function UPGRADE_INTERFACE_VERSION() view returns(string)
func (poolManager *PoolManager) PackUPGRADEINTERFACEVERSION() []byte {
	enc, err := poolManager.abi.Pack("UPGRADE_INTERFACE_VERSION")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackUPGRADEINTERFACEVERSION is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xad3cb1cc.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function UPGRADE_INTERFACE_VERSION() view returns(string)
func (poolManager *PoolManager) TryPackUPGRADEINTERFACEVERSION() ([]byte, error) {
	return poolManager.abi.Pack("UPGRADE_INTERFACE_VERSION")
}

// UnpackUPGRADEINTERFACEVERSION is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xad3cb1cc.
//
// Solidity: function UPGRADE_INTERFACE_VERSION() view returns(string)
func (poolManager *PoolManager) UnpackUPGRADEINTERFACEVERSION(data []byte) (string, error) {
	out, err := poolManager.abi.Unpack("UPGRADE_INTERFACE_VERSION", data)
	if err != nil {
		return *new(string), err
	}
	out0 := *abi.ConvertType(out[0], new(string)).(*string)
	return out0, nil
}

// PackAcceptOperator is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xdddcd627.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function acceptOperator(address node) returns()
func (poolManager *PoolManager) PackAcceptOperator(node common.Address) []byte {
	enc, err := poolManager.abi.Pack("acceptOperator", node)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackAcceptOperator is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xdddcd627.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function acceptOperator(address node) returns()
func (poolManager *PoolManager) TryPackAcceptOperator(node common.Address) ([]byte, error) {
	return poolManager.abi.Pack("acceptOperator", node)
}

// PackActiveNodes is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x07f19651.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function activeNodes() view returns(uint256)
func (poolManager *PoolManager) PackActiveNodes() []byte {
	enc, err := poolManager.abi.Pack("activeNodes")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackActiveNodes is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x07f19651.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function activeNodes() view returns(uint256)
func (poolManager *PoolManager) TryPackActiveNodes() ([]byte, error) {
	return poolManager.abi.Pack("activeNodes")
}

// UnpackActiveNodes is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x07f19651.
//
// Solidity: function activeNodes() view returns(uint256)
func (poolManager *PoolManager) UnpackActiveNodes(data []byte) (*big.Int, error) {
	out, err := poolManager.abi.Unpack("activeNodes", data)
	if err != nil {
		return new(big.Int), err
	}
	out0 := abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	return out0, nil
}

// PackAuthority is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xbf7e214f.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function authority() view returns(address)
func (poolManager *PoolManager) PackAuthority() []byte {
	enc, err := poolManager.abi.Pack("authority")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackAuthority is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xbf7e214f.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function authority() view returns(address)
func (poolManager *PoolManager) TryPackAuthority() ([]byte, error) {
	return poolManager.abi.Pack("authority")
}

// UnpackAuthority is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xbf7e214f.
//
// Solidity: function authority() view returns(address)
func (poolManager *PoolManager) UnpackAuthority(data []byte) (common.Address, error) {
	out, err := poolManager.abi.Unpack("authority", data)
	if err != nil {
		return *new(common.Address), err
	}
	out0 := *abi.ConvertType(out[0], new(common.Address)).(*common.Address)
	return out0, nil
}

// PackBounds is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x5843a5ad.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function bounds() view returns((uint32,uint32,uint32,uint16,uint16,uint16))
func (poolManager *PoolManager) PackBounds() []byte {
	enc, err := poolManager.abi.Pack("bounds")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackBounds is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x5843a5ad.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function bounds() view returns((uint32,uint32,uint32,uint16,uint16,uint16))
func (poolManager *PoolManager) TryPackBounds() ([]byte, error) {
	return poolManager.abi.Pack("bounds")
}

// UnpackBounds is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x5843a5ad.
//
// Solidity: function bounds() view returns((uint32,uint32,uint32,uint16,uint16,uint16))
func (poolManager *PoolManager) UnpackBounds(data []byte) (IPoolManagerBounds, error) {
	out, err := poolManager.abi.Unpack("bounds", data)
	if err != nil {
		return *new(IPoolManagerBounds), err
	}
	out0 := *abi.ConvertType(out[0], new(IPoolManagerBounds)).(*IPoolManagerBounds)
	return out0, nil
}

// PackClaim is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x8e2eba09.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function claim(address account, address[] nodes) returns(uint256 amount)
func (poolManager *PoolManager) PackClaim(account common.Address, nodes []common.Address) []byte {
	enc, err := poolManager.abi.Pack("claim", account, nodes)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackClaim is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x8e2eba09.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function claim(address account, address[] nodes) returns(uint256 amount)
func (poolManager *PoolManager) TryPackClaim(account common.Address, nodes []common.Address) ([]byte, error) {
	return poolManager.abi.Pack("claim", account, nodes)
}

// UnpackClaim is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x8e2eba09.
//
// Solidity: function claim(address account, address[] nodes) returns(uint256 amount)
func (poolManager *PoolManager) UnpackClaim(data []byte) (*big.Int, error) {
	out, err := poolManager.abi.Unpack("claim", data)
	if err != nil {
		return new(big.Int), err
	}
	out0 := abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	return out0, nil
}

// PackConsentDigest is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x5dce88aa.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function consentDigest(address node, address operator, uint16 commissionBps, uint256 deadline) view returns(bytes32)
func (poolManager *PoolManager) PackConsentDigest(node common.Address, operator common.Address, commissionBps uint16, deadline *big.Int) []byte {
	enc, err := poolManager.abi.Pack("consentDigest", node, operator, commissionBps, deadline)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackConsentDigest is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x5dce88aa.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function consentDigest(address node, address operator, uint16 commissionBps, uint256 deadline) view returns(bytes32)
func (poolManager *PoolManager) TryPackConsentDigest(node common.Address, operator common.Address, commissionBps uint16, deadline *big.Int) ([]byte, error) {
	return poolManager.abi.Pack("consentDigest", node, operator, commissionBps, deadline)
}

// UnpackConsentDigest is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x5dce88aa.
//
// Solidity: function consentDigest(address node, address operator, uint16 commissionBps, uint256 deadline) view returns(bytes32)
func (poolManager *PoolManager) UnpackConsentDigest(data []byte) ([32]byte, error) {
	out, err := poolManager.abi.Unpack("consentDigest", data)
	if err != nil {
		return *new([32]byte), err
	}
	out0 := *abi.ConvertType(out[0], new([32]byte)).(*[32]byte)
	return out0, nil
}

// PackCreatePool is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xf156f4b1.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function createPool(address node, uint16 commissionBps, uint256 deadline, bytes consent) returns(address pool)
func (poolManager *PoolManager) PackCreatePool(node common.Address, commissionBps uint16, deadline *big.Int, consent []byte) []byte {
	enc, err := poolManager.abi.Pack("createPool", node, commissionBps, deadline, consent)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackCreatePool is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xf156f4b1.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function createPool(address node, uint16 commissionBps, uint256 deadline, bytes consent) returns(address pool)
func (poolManager *PoolManager) TryPackCreatePool(node common.Address, commissionBps uint16, deadline *big.Int, consent []byte) ([]byte, error) {
	return poolManager.abi.Pack("createPool", node, commissionBps, deadline, consent)
}

// UnpackCreatePool is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xf156f4b1.
//
// Solidity: function createPool(address node, uint16 commissionBps, uint256 deadline, bytes consent) returns(address pool)
func (poolManager *PoolManager) UnpackCreatePool(data []byte) (common.Address, error) {
	out, err := poolManager.abi.Unpack("createPool", data)
	if err != nil {
		return *new(common.Address), err
	}
	out0 := *abi.ConvertType(out[0], new(common.Address)).(*common.Address)
	return out0, nil
}

// PackDelegate is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x613aac1b.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function delegate(address node, uint256[] ids) returns()
func (poolManager *PoolManager) PackDelegate(node common.Address, ids []*big.Int) []byte {
	enc, err := poolManager.abi.Pack("delegate", node, ids)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackDelegate is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x613aac1b.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function delegate(address node, uint256[] ids) returns()
func (poolManager *PoolManager) TryPackDelegate(node common.Address, ids []*big.Int) ([]byte, error) {
	return poolManager.abi.Pack("delegate", node, ids)
}

// PackDistribute is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xb1b2fdd3.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function distribute(address node, uint64[] epochs, uint256[] amounts, uint32 provenMbps_) returns()
func (poolManager *PoolManager) PackDistribute(node common.Address, epochs []uint64, amounts []*big.Int, provenMbps uint32) []byte {
	enc, err := poolManager.abi.Pack("distribute", node, epochs, amounts, provenMbps)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackDistribute is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xb1b2fdd3.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function distribute(address node, uint64[] epochs, uint256[] amounts, uint32 provenMbps_) returns()
func (poolManager *PoolManager) TryPackDistribute(node common.Address, epochs []uint64, amounts []*big.Int, provenMbps uint32) ([]byte, error) {
	return poolManager.abi.Pack("distribute", node, epochs, amounts, provenMbps)
}

// PackImplementation is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x5c60da1b.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function implementation() view returns(address)
func (poolManager *PoolManager) PackImplementation() []byte {
	enc, err := poolManager.abi.Pack("implementation")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackImplementation is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x5c60da1b.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function implementation() view returns(address)
func (poolManager *PoolManager) TryPackImplementation() ([]byte, error) {
	return poolManager.abi.Pack("implementation")
}

// UnpackImplementation is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x5c60da1b.
//
// Solidity: function implementation() view returns(address)
func (poolManager *PoolManager) UnpackImplementation(data []byte) (common.Address, error) {
	out, err := poolManager.abi.Unpack("implementation", data)
	if err != nil {
		return *new(common.Address), err
	}
	out0 := *abi.ConvertType(out[0], new(common.Address)).(*common.Address)
	return out0, nil
}

// PackInitialize is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x85b205ea.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function initialize(address authority, (uint32,uint32,uint32,uint16,uint16,uint16) bounds_) returns()
func (poolManager *PoolManager) PackInitialize(authority common.Address, bounds IPoolManagerBounds) []byte {
	enc, err := poolManager.abi.Pack("initialize", authority, bounds)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackInitialize is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x85b205ea.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function initialize(address authority, (uint32,uint32,uint32,uint16,uint16,uint16) bounds_) returns()
func (poolManager *PoolManager) TryPackInitialize(authority common.Address, bounds IPoolManagerBounds) ([]byte, error) {
	return poolManager.abi.Pack("initialize", authority, bounds)
}

// PackIsConsumingScheduledOp is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x8fb36037.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function isConsumingScheduledOp() view returns(bytes4)
func (poolManager *PoolManager) PackIsConsumingScheduledOp() []byte {
	enc, err := poolManager.abi.Pack("isConsumingScheduledOp")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackIsConsumingScheduledOp is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x8fb36037.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function isConsumingScheduledOp() view returns(bytes4)
func (poolManager *PoolManager) TryPackIsConsumingScheduledOp() ([]byte, error) {
	return poolManager.abi.Pack("isConsumingScheduledOp")
}

// UnpackIsConsumingScheduledOp is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x8fb36037.
//
// Solidity: function isConsumingScheduledOp() view returns(bytes4)
func (poolManager *PoolManager) UnpackIsConsumingScheduledOp(data []byte) ([4]byte, error) {
	out, err := poolManager.abi.Unpack("isConsumingScheduledOp", data)
	if err != nil {
		return *new([4]byte), err
	}
	out0 := *abi.ConvertType(out[0], new([4]byte)).(*[4]byte)
	return out0, nil
}

// PackIsPool is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x5b16ebb7.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function isPool(address pool) view returns(bool)
func (poolManager *PoolManager) PackIsPool(pool common.Address) []byte {
	enc, err := poolManager.abi.Pack("isPool", pool)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackIsPool is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x5b16ebb7.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function isPool(address pool) view returns(bool)
func (poolManager *PoolManager) TryPackIsPool(pool common.Address) ([]byte, error) {
	return poolManager.abi.Pack("isPool", pool)
}

// UnpackIsPool is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x5b16ebb7.
//
// Solidity: function isPool(address pool) view returns(bool)
func (poolManager *PoolManager) UnpackIsPool(data []byte) (bool, error) {
	out, err := poolManager.abi.Unpack("isPool", data)
	if err != nil {
		return *new(bool), err
	}
	out0 := *abi.ConvertType(out[0], new(bool)).(*bool)
	return out0, nil
}

// PackKeysOf is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x0e959b29.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function keysOf(address node) view returns(uint256 keys, uint256 most)
func (poolManager *PoolManager) PackKeysOf(node common.Address) []byte {
	enc, err := poolManager.abi.Pack("keysOf", node)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackKeysOf is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x0e959b29.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function keysOf(address node) view returns(uint256 keys, uint256 most)
func (poolManager *PoolManager) TryPackKeysOf(node common.Address) ([]byte, error) {
	return poolManager.abi.Pack("keysOf", node)
}

// PoolManagerKeysOfOutput serves as a container for the return parameters of contract
// method KeysOf.
type PoolManagerKeysOfOutput struct {
	Keys *big.Int
	Most *big.Int
}

// UnpackKeysOf is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x0e959b29.
//
// Solidity: function keysOf(address node) view returns(uint256 keys, uint256 most)
func (poolManager *PoolManager) UnpackKeysOf(data []byte) (PoolManagerKeysOfOutput, error) {
	out, err := poolManager.abi.Unpack("keysOf", data)
	outstruct := new(PoolManagerKeysOfOutput)
	if err != nil {
		return *outstruct, err
	}
	outstruct.Keys = abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	outstruct.Most = abi.ConvertType(out[1], new(big.Int)).(*big.Int)
	return *outstruct, nil
}

// PackNodeOf is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xb39a7740.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function nodeOf(uint32 number) view returns(address)
func (poolManager *PoolManager) PackNodeOf(number uint32) []byte {
	enc, err := poolManager.abi.Pack("nodeOf", number)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackNodeOf is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xb39a7740.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function nodeOf(uint32 number) view returns(address)
func (poolManager *PoolManager) TryPackNodeOf(number uint32) ([]byte, error) {
	return poolManager.abi.Pack("nodeOf", number)
}

// UnpackNodeOf is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xb39a7740.
//
// Solidity: function nodeOf(uint32 number) view returns(address)
func (poolManager *PoolManager) UnpackNodeOf(data []byte) (common.Address, error) {
	out, err := poolManager.abi.Unpack("nodeOf", data)
	if err != nil {
		return *new(common.Address), err
	}
	out0 := *abi.ConvertType(out[0], new(common.Address)).(*common.Address)
	return out0, nil
}

// PackOnKeyTransfer is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x5e0095a3.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function onKeyTransfer(address from, address , uint256[] ids) returns()
func (poolManager *PoolManager) PackOnKeyTransfer(from common.Address, arg1 common.Address, ids []*big.Int) []byte {
	enc, err := poolManager.abi.Pack("onKeyTransfer", from, arg1, ids)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackOnKeyTransfer is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x5e0095a3.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function onKeyTransfer(address from, address , uint256[] ids) returns()
func (poolManager *PoolManager) TryPackOnKeyTransfer(from common.Address, arg1 common.Address, ids []*big.Int) ([]byte, error) {
	return poolManager.abi.Pack("onKeyTransfer", from, arg1, ids)
}

// PackPause is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x8456cb59.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function pause() returns()
func (poolManager *PoolManager) PackPause() []byte {
	enc, err := poolManager.abi.Pack("pause")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackPause is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x8456cb59.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function pause() returns()
func (poolManager *PoolManager) TryPackPause() ([]byte, error) {
	return poolManager.abi.Pack("pause")
}

// PackPaused is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x5c975abb.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function paused() view returns(bool)
func (poolManager *PoolManager) PackPaused() []byte {
	enc, err := poolManager.abi.Pack("paused")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackPaused is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x5c975abb.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function paused() view returns(bool)
func (poolManager *PoolManager) TryPackPaused() ([]byte, error) {
	return poolManager.abi.Pack("paused")
}

// UnpackPaused is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x5c975abb.
//
// Solidity: function paused() view returns(bool)
func (poolManager *PoolManager) UnpackPaused(data []byte) (bool, error) {
	out, err := poolManager.abi.Unpack("paused", data)
	if err != nil {
		return *new(bool), err
	}
	out0 := *abi.ConvertType(out[0], new(bool)).(*bool)
	return out0, nil
}

// PackPoolCount is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xf525cb68.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function poolCount() view returns(uint256)
func (poolManager *PoolManager) PackPoolCount() []byte {
	enc, err := poolManager.abi.Pack("poolCount")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackPoolCount is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xf525cb68.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function poolCount() view returns(uint256)
func (poolManager *PoolManager) TryPackPoolCount() ([]byte, error) {
	return poolManager.abi.Pack("poolCount")
}

// UnpackPoolCount is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xf525cb68.
//
// Solidity: function poolCount() view returns(uint256)
func (poolManager *PoolManager) UnpackPoolCount(data []byte) (*big.Int, error) {
	out, err := poolManager.abi.Unpack("poolCount", data)
	if err != nil {
		return new(big.Int), err
	}
	out0 := abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	return out0, nil
}

// PackPoolOf is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x988b1fa7.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function poolOf(address node) view returns(address)
func (poolManager *PoolManager) PackPoolOf(node common.Address) []byte {
	enc, err := poolManager.abi.Pack("poolOf", node)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackPoolOf is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x988b1fa7.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function poolOf(address node) view returns(address)
func (poolManager *PoolManager) TryPackPoolOf(node common.Address) ([]byte, error) {
	return poolManager.abi.Pack("poolOf", node)
}

// UnpackPoolOf is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x988b1fa7.
//
// Solidity: function poolOf(address node) view returns(address)
func (poolManager *PoolManager) UnpackPoolOf(data []byte) (common.Address, error) {
	out, err := poolManager.abi.Unpack("poolOf", data)
	if err != nil {
		return *new(common.Address), err
	}
	out0 := *abi.ConvertType(out[0], new(common.Address)).(*common.Address)
	return out0, nil
}

// PackProposeOperator is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xf7efb7f7.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function proposeOperator(address node, address operator) returns()
func (poolManager *PoolManager) PackProposeOperator(node common.Address, operator common.Address) []byte {
	enc, err := poolManager.abi.Pack("proposeOperator", node, operator)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackProposeOperator is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xf7efb7f7.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function proposeOperator(address node, address operator) returns()
func (poolManager *PoolManager) TryPackProposeOperator(node common.Address, operator common.Address) ([]byte, error) {
	return poolManager.abi.Pack("proposeOperator", node, operator)
}

// PackProvenMbps is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xed19d612.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function provenMbps(address node) view returns(uint32)
func (poolManager *PoolManager) PackProvenMbps(node common.Address) []byte {
	enc, err := poolManager.abi.Pack("provenMbps", node)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackProvenMbps is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xed19d612.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function provenMbps(address node) view returns(uint32)
func (poolManager *PoolManager) TryPackProvenMbps(node common.Address) ([]byte, error) {
	return poolManager.abi.Pack("provenMbps", node)
}

// UnpackProvenMbps is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xed19d612.
//
// Solidity: function provenMbps(address node) view returns(uint32)
func (poolManager *PoolManager) UnpackProvenMbps(data []byte) (uint32, error) {
	out, err := poolManager.abi.Unpack("provenMbps", data)
	if err != nil {
		return *new(uint32), err
	}
	out0 := *abi.ConvertType(out[0], new(uint32)).(*uint32)
	return out0, nil
}

// PackProxiableUUID is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x52d1902d.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function proxiableUUID() view returns(bytes32)
func (poolManager *PoolManager) PackProxiableUUID() []byte {
	enc, err := poolManager.abi.Pack("proxiableUUID")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackProxiableUUID is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x52d1902d.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function proxiableUUID() view returns(bytes32)
func (poolManager *PoolManager) TryPackProxiableUUID() ([]byte, error) {
	return poolManager.abi.Pack("proxiableUUID")
}

// UnpackProxiableUUID is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x52d1902d.
//
// Solidity: function proxiableUUID() view returns(bytes32)
func (poolManager *PoolManager) UnpackProxiableUUID(data []byte) ([32]byte, error) {
	out, err := poolManager.abi.Unpack("proxiableUUID", data)
	if err != nil {
		return *new([32]byte), err
	}
	out0 := *abi.ConvertType(out[0], new([32]byte)).(*[32]byte)
	return out0, nil
}

// PackSetAuthority is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x7a9e5e4b.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function setAuthority(address newAuthority) returns()
func (poolManager *PoolManager) PackSetAuthority(newAuthority common.Address) []byte {
	enc, err := poolManager.abi.Pack("setAuthority", newAuthority)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackSetAuthority is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x7a9e5e4b.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function setAuthority(address newAuthority) returns()
func (poolManager *PoolManager) TryPackSetAuthority(newAuthority common.Address) ([]byte, error) {
	return poolManager.abi.Pack("setAuthority", newAuthority)
}

// PackSetBounds is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xa7935ad2.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function setBounds((uint32,uint32,uint32,uint16,uint16,uint16) bounds_) returns()
func (poolManager *PoolManager) PackSetBounds(bounds IPoolManagerBounds) []byte {
	enc, err := poolManager.abi.Pack("setBounds", bounds)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackSetBounds is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xa7935ad2.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function setBounds((uint32,uint32,uint32,uint16,uint16,uint16) bounds_) returns()
func (poolManager *PoolManager) TryPackSetBounds(bounds IPoolManagerBounds) ([]byte, error) {
	return poolManager.abi.Pack("setBounds", bounds)
}

// PackSetCommission is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xf000322c.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function setCommission(address node, uint16 bps) returns()
func (poolManager *PoolManager) PackSetCommission(node common.Address, bps uint16) []byte {
	enc, err := poolManager.abi.Pack("setCommission", node, bps)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackSetCommission is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xf000322c.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function setCommission(address node, uint16 bps) returns()
func (poolManager *PoolManager) TryPackSetCommission(node common.Address, bps uint16) ([]byte, error) {
	return poolManager.abi.Pack("setCommission", node, bps)
}

// PackUndelegate is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xe72e9231.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function undelegate(address node, uint256[] ids) returns()
func (poolManager *PoolManager) PackUndelegate(node common.Address, ids []*big.Int) []byte {
	enc, err := poolManager.abi.Pack("undelegate", node, ids)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackUndelegate is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xe72e9231.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function undelegate(address node, uint256[] ids) returns()
func (poolManager *PoolManager) TryPackUndelegate(node common.Address, ids []*big.Int) ([]byte, error) {
	return poolManager.abi.Pack("undelegate", node, ids)
}

// PackUnpause is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x3f4ba83a.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function unpause() returns()
func (poolManager *PoolManager) PackUnpause() []byte {
	enc, err := poolManager.abi.Pack("unpause")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackUnpause is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x3f4ba83a.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function unpause() returns()
func (poolManager *PoolManager) TryPackUnpause() ([]byte, error) {
	return poolManager.abi.Pack("unpause")
}

// PackUpgradeToAndCall is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x4f1ef286.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function upgradeToAndCall(address newImplementation, bytes data) payable returns()
func (poolManager *PoolManager) PackUpgradeToAndCall(newImplementation common.Address, data []byte) []byte {
	enc, err := poolManager.abi.Pack("upgradeToAndCall", newImplementation, data)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackUpgradeToAndCall is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x4f1ef286.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function upgradeToAndCall(address newImplementation, bytes data) payable returns()
func (poolManager *PoolManager) TryPackUpgradeToAndCall(newImplementation common.Address, data []byte) ([]byte, error) {
	return poolManager.abi.Pack("upgradeToAndCall", newImplementation, data)
}

// PoolManagerAuthorityUpdated represents a AuthorityUpdated event raised by the PoolManager contract.
type PoolManagerAuthorityUpdated struct {
	Authority common.Address
	Raw       *types.Log // Blockchain specific contextual infos
}

const PoolManagerAuthorityUpdatedEventName = "AuthorityUpdated"

// ContractEventName returns the user-defined event name.
func (PoolManagerAuthorityUpdated) ContractEventName() string {
	return PoolManagerAuthorityUpdatedEventName
}

// UnpackAuthorityUpdatedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event AuthorityUpdated(address authority)
func (poolManager *PoolManager) UnpackAuthorityUpdatedEvent(log *types.Log) (*PoolManagerAuthorityUpdated, error) {
	event := "AuthorityUpdated"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != poolManager.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(PoolManagerAuthorityUpdated)
	if len(log.Data) > 0 {
		if err := poolManager.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range poolManager.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// PoolManagerBoundsSet represents a BoundsSet event raised by the PoolManager contract.
type PoolManagerBoundsSet struct {
	Bounds IPoolManagerBounds
	Raw    *types.Log // Blockchain specific contextual infos
}

const PoolManagerBoundsSetEventName = "BoundsSet"

// ContractEventName returns the user-defined event name.
func (PoolManagerBoundsSet) ContractEventName() string {
	return PoolManagerBoundsSetEventName
}

// UnpackBoundsSetEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event BoundsSet((uint32,uint32,uint32,uint16,uint16,uint16) bounds)
func (poolManager *PoolManager) UnpackBoundsSetEvent(log *types.Log) (*PoolManagerBoundsSet, error) {
	event := "BoundsSet"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != poolManager.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(PoolManagerBoundsSet)
	if len(log.Data) > 0 {
		if err := poolManager.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range poolManager.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// PoolManagerDelegated represents a Delegated event raised by the PoolManager contract.
type PoolManagerDelegated struct {
	Owner      common.Address
	Node       common.Address
	Ids        []*big.Int
	CountsFrom uint64
	Raw        *types.Log // Blockchain specific contextual infos
}

const PoolManagerDelegatedEventName = "Delegated"

// ContractEventName returns the user-defined event name.
func (PoolManagerDelegated) ContractEventName() string {
	return PoolManagerDelegatedEventName
}

// UnpackDelegatedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event Delegated(address indexed owner, address indexed node, uint256[] ids, uint64 countsFrom)
func (poolManager *PoolManager) UnpackDelegatedEvent(log *types.Log) (*PoolManagerDelegated, error) {
	event := "Delegated"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != poolManager.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(PoolManagerDelegated)
	if len(log.Data) > 0 {
		if err := poolManager.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range poolManager.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// PoolManagerInitialized represents a Initialized event raised by the PoolManager contract.
type PoolManagerInitialized struct {
	Version uint64
	Raw     *types.Log // Blockchain specific contextual infos
}

const PoolManagerInitializedEventName = "Initialized"

// ContractEventName returns the user-defined event name.
func (PoolManagerInitialized) ContractEventName() string {
	return PoolManagerInitializedEventName
}

// UnpackInitializedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event Initialized(uint64 version)
func (poolManager *PoolManager) UnpackInitializedEvent(log *types.Log) (*PoolManagerInitialized, error) {
	event := "Initialized"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != poolManager.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(PoolManagerInitialized)
	if len(log.Data) > 0 {
		if err := poolManager.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range poolManager.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// PoolManagerOperatorProposed represents a OperatorProposed event raised by the PoolManager contract.
type PoolManagerOperatorProposed struct {
	Node     common.Address
	Operator common.Address
	Raw      *types.Log // Blockchain specific contextual infos
}

const PoolManagerOperatorProposedEventName = "OperatorProposed"

// ContractEventName returns the user-defined event name.
func (PoolManagerOperatorProposed) ContractEventName() string {
	return PoolManagerOperatorProposedEventName
}

// UnpackOperatorProposedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event OperatorProposed(address indexed node, address indexed operator)
func (poolManager *PoolManager) UnpackOperatorProposedEvent(log *types.Log) (*PoolManagerOperatorProposed, error) {
	event := "OperatorProposed"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != poolManager.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(PoolManagerOperatorProposed)
	if len(log.Data) > 0 {
		if err := poolManager.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range poolManager.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// PoolManagerPaused represents a Paused event raised by the PoolManager contract.
type PoolManagerPaused struct {
	Account common.Address
	Raw     *types.Log // Blockchain specific contextual infos
}

const PoolManagerPausedEventName = "Paused"

// ContractEventName returns the user-defined event name.
func (PoolManagerPaused) ContractEventName() string {
	return PoolManagerPausedEventName
}

// UnpackPausedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event Paused(address account)
func (poolManager *PoolManager) UnpackPausedEvent(log *types.Log) (*PoolManagerPaused, error) {
	event := "Paused"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != poolManager.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(PoolManagerPaused)
	if len(log.Data) > 0 {
		if err := poolManager.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range poolManager.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// PoolManagerPoolCreated represents a PoolCreated event raised by the PoolManager contract.
type PoolManagerPoolCreated struct {
	Node          common.Address
	Pool          common.Address
	Operator      common.Address
	Number        uint32
	CommissionBps uint16
	Raw           *types.Log // Blockchain specific contextual infos
}

const PoolManagerPoolCreatedEventName = "PoolCreated"

// ContractEventName returns the user-defined event name.
func (PoolManagerPoolCreated) ContractEventName() string {
	return PoolManagerPoolCreatedEventName
}

// UnpackPoolCreatedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event PoolCreated(address indexed node, address indexed pool, address indexed operator, uint32 number, uint16 commissionBps)
func (poolManager *PoolManager) UnpackPoolCreatedEvent(log *types.Log) (*PoolManagerPoolCreated, error) {
	event := "PoolCreated"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != poolManager.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(PoolManagerPoolCreated)
	if len(log.Data) > 0 {
		if err := poolManager.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range poolManager.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// PoolManagerProvenMbpsSet represents a ProvenMbpsSet event raised by the PoolManager contract.
type PoolManagerProvenMbpsSet struct {
	Node       common.Address
	ProvenMbps uint32
	Raw        *types.Log // Blockchain specific contextual infos
}

const PoolManagerProvenMbpsSetEventName = "ProvenMbpsSet"

// ContractEventName returns the user-defined event name.
func (PoolManagerProvenMbpsSet) ContractEventName() string {
	return PoolManagerProvenMbpsSetEventName
}

// UnpackProvenMbpsSetEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event ProvenMbpsSet(address indexed node, uint32 provenMbps)
func (poolManager *PoolManager) UnpackProvenMbpsSetEvent(log *types.Log) (*PoolManagerProvenMbpsSet, error) {
	event := "ProvenMbpsSet"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != poolManager.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(PoolManagerProvenMbpsSet)
	if len(log.Data) > 0 {
		if err := poolManager.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range poolManager.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// PoolManagerUndelegated represents a Undelegated event raised by the PoolManager contract.
type PoolManagerUndelegated struct {
	Owner         common.Address
	Node          common.Address
	Ids           []*big.Int
	CountedBefore uint64
	Raw           *types.Log // Blockchain specific contextual infos
}

const PoolManagerUndelegatedEventName = "Undelegated"

// ContractEventName returns the user-defined event name.
func (PoolManagerUndelegated) ContractEventName() string {
	return PoolManagerUndelegatedEventName
}

// UnpackUndelegatedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event Undelegated(address indexed owner, address indexed node, uint256[] ids, uint64 countedBefore)
func (poolManager *PoolManager) UnpackUndelegatedEvent(log *types.Log) (*PoolManagerUndelegated, error) {
	event := "Undelegated"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != poolManager.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(PoolManagerUndelegated)
	if len(log.Data) > 0 {
		if err := poolManager.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range poolManager.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// PoolManagerUnpaused represents a Unpaused event raised by the PoolManager contract.
type PoolManagerUnpaused struct {
	Account common.Address
	Raw     *types.Log // Blockchain specific contextual infos
}

const PoolManagerUnpausedEventName = "Unpaused"

// ContractEventName returns the user-defined event name.
func (PoolManagerUnpaused) ContractEventName() string {
	return PoolManagerUnpausedEventName
}

// UnpackUnpausedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event Unpaused(address account)
func (poolManager *PoolManager) UnpackUnpausedEvent(log *types.Log) (*PoolManagerUnpaused, error) {
	event := "Unpaused"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != poolManager.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(PoolManagerUnpaused)
	if len(log.Data) > 0 {
		if err := poolManager.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range poolManager.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// PoolManagerUpgraded represents a Upgraded event raised by the PoolManager contract.
type PoolManagerUpgraded struct {
	Implementation common.Address
	Raw            *types.Log // Blockchain specific contextual infos
}

const PoolManagerUpgradedEventName = "Upgraded"

// ContractEventName returns the user-defined event name.
func (PoolManagerUpgraded) ContractEventName() string {
	return PoolManagerUpgradedEventName
}

// UnpackUpgradedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event Upgraded(address indexed implementation)
func (poolManager *PoolManager) UnpackUpgradedEvent(log *types.Log) (*PoolManagerUpgraded, error) {
	event := "Upgraded"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != poolManager.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(PoolManagerUpgraded)
	if len(log.Data) > 0 {
		if err := poolManager.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range poolManager.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// UnpackError attempts to decode the provided error data using user-defined
// error definitions.
func (poolManager *PoolManager) UnpackError(raw []byte) (any, error) {
	if bytes.Equal(raw[:4], poolManager.abi.Errors["AccessManagedInvalidAuthority"].ID.Bytes()[:4]) {
		return poolManager.UnpackAccessManagedInvalidAuthorityError(raw[4:])
	}
	if bytes.Equal(raw[:4], poolManager.abi.Errors["AccessManagedRequiredDelay"].ID.Bytes()[:4]) {
		return poolManager.UnpackAccessManagedRequiredDelayError(raw[4:])
	}
	if bytes.Equal(raw[:4], poolManager.abi.Errors["AccessManagedUnauthorized"].ID.Bytes()[:4]) {
		return poolManager.UnpackAccessManagedUnauthorizedError(raw[4:])
	}
	if bytes.Equal(raw[:4], poolManager.abi.Errors["AddressEmptyCode"].ID.Bytes()[:4]) {
		return poolManager.UnpackAddressEmptyCodeError(raw[4:])
	}
	if bytes.Equal(raw[:4], poolManager.abi.Errors["ECDSAInvalidSignature"].ID.Bytes()[:4]) {
		return poolManager.UnpackECDSAInvalidSignatureError(raw[4:])
	}
	if bytes.Equal(raw[:4], poolManager.abi.Errors["ECDSAInvalidSignatureLength"].ID.Bytes()[:4]) {
		return poolManager.UnpackECDSAInvalidSignatureLengthError(raw[4:])
	}
	if bytes.Equal(raw[:4], poolManager.abi.Errors["ECDSAInvalidSignatureS"].ID.Bytes()[:4]) {
		return poolManager.UnpackECDSAInvalidSignatureSError(raw[4:])
	}
	if bytes.Equal(raw[:4], poolManager.abi.Errors["ERC1967InvalidImplementation"].ID.Bytes()[:4]) {
		return poolManager.UnpackERC1967InvalidImplementationError(raw[4:])
	}
	if bytes.Equal(raw[:4], poolManager.abi.Errors["ERC1967NonPayable"].ID.Bytes()[:4]) {
		return poolManager.UnpackERC1967NonPayableError(raw[4:])
	}
	if bytes.Equal(raw[:4], poolManager.abi.Errors["EnforcedPause"].ID.Bytes()[:4]) {
		return poolManager.UnpackEnforcedPauseError(raw[4:])
	}
	if bytes.Equal(raw[:4], poolManager.abi.Errors["ExpectedPause"].ID.Bytes()[:4]) {
		return poolManager.UnpackExpectedPauseError(raw[4:])
	}
	if bytes.Equal(raw[:4], poolManager.abi.Errors["FailedCall"].ID.Bytes()[:4]) {
		return poolManager.UnpackFailedCallError(raw[4:])
	}
	if bytes.Equal(raw[:4], poolManager.abi.Errors["InvalidInitialization"].ID.Bytes()[:4]) {
		return poolManager.UnpackInvalidInitializationError(raw[4:])
	}
	if bytes.Equal(raw[:4], poolManager.abi.Errors["NotInitializing"].ID.Bytes()[:4]) {
		return poolManager.UnpackNotInitializingError(raw[4:])
	}
	if bytes.Equal(raw[:4], poolManager.abi.Errors["PoolManager_BadBounds"].ID.Bytes()[:4]) {
		return poolManager.UnpackPoolManagerBadBoundsError(raw[4:])
	}
	if bytes.Equal(raw[:4], poolManager.abi.Errors["PoolManager_CommissionTooHigh"].ID.Bytes()[:4]) {
		return poolManager.UnpackPoolManagerCommissionTooHighError(raw[4:])
	}
	if bytes.Equal(raw[:4], poolManager.abi.Errors["PoolManager_ConsentExpired"].ID.Bytes()[:4]) {
		return poolManager.UnpackPoolManagerConsentExpiredError(raw[4:])
	}
	if bytes.Equal(raw[:4], poolManager.abi.Errors["PoolManager_EpochNotOver"].ID.Bytes()[:4]) {
		return poolManager.UnpackPoolManagerEpochNotOverError(raw[4:])
	}
	if bytes.Equal(raw[:4], poolManager.abi.Errors["PoolManager_LengthsDiffer"].ID.Bytes()[:4]) {
		return poolManager.UnpackPoolManagerLengthsDifferError(raw[4:])
	}
	if bytes.Equal(raw[:4], poolManager.abi.Errors["PoolManager_NoKeys"].ID.Bytes()[:4]) {
		return poolManager.UnpackPoolManagerNoKeysError(raw[4:])
	}
	if bytes.Equal(raw[:4], poolManager.abi.Errors["PoolManager_NoPool"].ID.Bytes()[:4]) {
		return poolManager.UnpackPoolManagerNoPoolError(raw[4:])
	}
	if bytes.Equal(raw[:4], poolManager.abi.Errors["PoolManager_NotDelegatedHere"].ID.Bytes()[:4]) {
		return poolManager.UnpackPoolManagerNotDelegatedHereError(raw[4:])
	}
	if bytes.Equal(raw[:4], poolManager.abi.Errors["PoolManager_NotKeyContract"].ID.Bytes()[:4]) {
		return poolManager.UnpackPoolManagerNotKeyContractError(raw[4:])
	}
	if bytes.Equal(raw[:4], poolManager.abi.Errors["PoolManager_NotNodesConsent"].ID.Bytes()[:4]) {
		return poolManager.UnpackPoolManagerNotNodesConsentError(raw[4:])
	}
	if bytes.Equal(raw[:4], poolManager.abi.Errors["PoolManager_NotOperator"].ID.Bytes()[:4]) {
		return poolManager.UnpackPoolManagerNotOperatorError(raw[4:])
	}
	if bytes.Equal(raw[:4], poolManager.abi.Errors["PoolManager_NotProposed"].ID.Bytes()[:4]) {
		return poolManager.UnpackPoolManagerNotProposedError(raw[4:])
	}
	if bytes.Equal(raw[:4], poolManager.abi.Errors["PoolManager_PoolExists"].ID.Bytes()[:4]) {
		return poolManager.UnpackPoolManagerPoolExistsError(raw[4:])
	}
	if bytes.Equal(raw[:4], poolManager.abi.Errors["PoolManager_TooManyKeys"].ID.Bytes()[:4]) {
		return poolManager.UnpackPoolManagerTooManyKeysError(raw[4:])
	}
	if bytes.Equal(raw[:4], poolManager.abi.Errors["PoolManager_TooManyNodes"].ID.Bytes()[:4]) {
		return poolManager.UnpackPoolManagerTooManyNodesError(raw[4:])
	}
	if bytes.Equal(raw[:4], poolManager.abi.Errors["ReentrancyGuardReentrantCall"].ID.Bytes()[:4]) {
		return poolManager.UnpackReentrancyGuardReentrantCallError(raw[4:])
	}
	if bytes.Equal(raw[:4], poolManager.abi.Errors["UUPSUnauthorizedCallContext"].ID.Bytes()[:4]) {
		return poolManager.UnpackUUPSUnauthorizedCallContextError(raw[4:])
	}
	if bytes.Equal(raw[:4], poolManager.abi.Errors["UUPSUnsupportedProxiableUUID"].ID.Bytes()[:4]) {
		return poolManager.UnpackUUPSUnsupportedProxiableUUIDError(raw[4:])
	}
	return nil, errors.New("Unknown error")
}

// PoolManagerAccessManagedInvalidAuthority represents a AccessManagedInvalidAuthority error raised by the PoolManager contract.
type PoolManagerAccessManagedInvalidAuthority struct {
	Authority common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error AccessManagedInvalidAuthority(address authority)
func PoolManagerAccessManagedInvalidAuthorityErrorID() common.Hash {
	return common.HexToHash("0xc2f31e5ee06c96eddd5864bf58d26da15afa7233cb6f74e000aa686fca7a7a0b")
}

// UnpackAccessManagedInvalidAuthorityError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error AccessManagedInvalidAuthority(address authority)
func (poolManager *PoolManager) UnpackAccessManagedInvalidAuthorityError(raw []byte) (*PoolManagerAccessManagedInvalidAuthority, error) {
	out := new(PoolManagerAccessManagedInvalidAuthority)
	if err := poolManager.abi.UnpackIntoInterface(out, "AccessManagedInvalidAuthority", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// PoolManagerAccessManagedRequiredDelay represents a AccessManagedRequiredDelay error raised by the PoolManager contract.
type PoolManagerAccessManagedRequiredDelay struct {
	Caller common.Address
	Delay  uint32
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error AccessManagedRequiredDelay(address caller, uint32 delay)
func PoolManagerAccessManagedRequiredDelayErrorID() common.Hash {
	return common.HexToHash("0xaf77169dad650be42a753d4bbd4f4ad0d10be80053e495da3bb1525746eda4e4")
}

// UnpackAccessManagedRequiredDelayError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error AccessManagedRequiredDelay(address caller, uint32 delay)
func (poolManager *PoolManager) UnpackAccessManagedRequiredDelayError(raw []byte) (*PoolManagerAccessManagedRequiredDelay, error) {
	out := new(PoolManagerAccessManagedRequiredDelay)
	if err := poolManager.abi.UnpackIntoInterface(out, "AccessManagedRequiredDelay", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// PoolManagerAccessManagedUnauthorized represents a AccessManagedUnauthorized error raised by the PoolManager contract.
type PoolManagerAccessManagedUnauthorized struct {
	Caller common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error AccessManagedUnauthorized(address caller)
func PoolManagerAccessManagedUnauthorizedErrorID() common.Hash {
	return common.HexToHash("0x068ca9d827f779c08fd30d7fda45faef5f2a6b2e57f8b809b3c6bbed99f5fb1f")
}

// UnpackAccessManagedUnauthorizedError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error AccessManagedUnauthorized(address caller)
func (poolManager *PoolManager) UnpackAccessManagedUnauthorizedError(raw []byte) (*PoolManagerAccessManagedUnauthorized, error) {
	out := new(PoolManagerAccessManagedUnauthorized)
	if err := poolManager.abi.UnpackIntoInterface(out, "AccessManagedUnauthorized", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// PoolManagerAddressEmptyCode represents a AddressEmptyCode error raised by the PoolManager contract.
type PoolManagerAddressEmptyCode struct {
	Target common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error AddressEmptyCode(address target)
func PoolManagerAddressEmptyCodeErrorID() common.Hash {
	return common.HexToHash("0x9996b315c842ff135b8fc4a08ad5df1c344efbc03d2687aecc0678050d2aac89")
}

// UnpackAddressEmptyCodeError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error AddressEmptyCode(address target)
func (poolManager *PoolManager) UnpackAddressEmptyCodeError(raw []byte) (*PoolManagerAddressEmptyCode, error) {
	out := new(PoolManagerAddressEmptyCode)
	if err := poolManager.abi.UnpackIntoInterface(out, "AddressEmptyCode", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// PoolManagerECDSAInvalidSignature represents a ECDSAInvalidSignature error raised by the PoolManager contract.
type PoolManagerECDSAInvalidSignature struct {
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error ECDSAInvalidSignature()
func PoolManagerECDSAInvalidSignatureErrorID() common.Hash {
	return common.HexToHash("0xf645eedf0193584640b6b90cb9477e4c95b98636c148a891d4c0a146dc46e75a")
}

// UnpackECDSAInvalidSignatureError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error ECDSAInvalidSignature()
func (poolManager *PoolManager) UnpackECDSAInvalidSignatureError(raw []byte) (*PoolManagerECDSAInvalidSignature, error) {
	out := new(PoolManagerECDSAInvalidSignature)
	if err := poolManager.abi.UnpackIntoInterface(out, "ECDSAInvalidSignature", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// PoolManagerECDSAInvalidSignatureLength represents a ECDSAInvalidSignatureLength error raised by the PoolManager contract.
type PoolManagerECDSAInvalidSignatureLength struct {
	Length *big.Int
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error ECDSAInvalidSignatureLength(uint256 length)
func PoolManagerECDSAInvalidSignatureLengthErrorID() common.Hash {
	return common.HexToHash("0xfce698f7e8e5342cd615f641317bc45fe7e1e4a8b0a14dd1383ff8dc9c41917f")
}

// UnpackECDSAInvalidSignatureLengthError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error ECDSAInvalidSignatureLength(uint256 length)
func (poolManager *PoolManager) UnpackECDSAInvalidSignatureLengthError(raw []byte) (*PoolManagerECDSAInvalidSignatureLength, error) {
	out := new(PoolManagerECDSAInvalidSignatureLength)
	if err := poolManager.abi.UnpackIntoInterface(out, "ECDSAInvalidSignatureLength", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// PoolManagerECDSAInvalidSignatureS represents a ECDSAInvalidSignatureS error raised by the PoolManager contract.
type PoolManagerECDSAInvalidSignatureS struct {
	S [32]byte
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error ECDSAInvalidSignatureS(bytes32 s)
func PoolManagerECDSAInvalidSignatureSErrorID() common.Hash {
	return common.HexToHash("0xd78bce0cccb935155ed6428d1c13e50b7f3550fd2b66b9fe266006fea4a5e1eb")
}

// UnpackECDSAInvalidSignatureSError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error ECDSAInvalidSignatureS(bytes32 s)
func (poolManager *PoolManager) UnpackECDSAInvalidSignatureSError(raw []byte) (*PoolManagerECDSAInvalidSignatureS, error) {
	out := new(PoolManagerECDSAInvalidSignatureS)
	if err := poolManager.abi.UnpackIntoInterface(out, "ECDSAInvalidSignatureS", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// PoolManagerERC1967InvalidImplementation represents a ERC1967InvalidImplementation error raised by the PoolManager contract.
type PoolManagerERC1967InvalidImplementation struct {
	Implementation common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error ERC1967InvalidImplementation(address implementation)
func PoolManagerERC1967InvalidImplementationErrorID() common.Hash {
	return common.HexToHash("0x4c9c8ce3ceb3130f17f7cdba48d89b5b0129f266a8bac114e6e315a41879b617")
}

// UnpackERC1967InvalidImplementationError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error ERC1967InvalidImplementation(address implementation)
func (poolManager *PoolManager) UnpackERC1967InvalidImplementationError(raw []byte) (*PoolManagerERC1967InvalidImplementation, error) {
	out := new(PoolManagerERC1967InvalidImplementation)
	if err := poolManager.abi.UnpackIntoInterface(out, "ERC1967InvalidImplementation", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// PoolManagerERC1967NonPayable represents a ERC1967NonPayable error raised by the PoolManager contract.
type PoolManagerERC1967NonPayable struct {
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error ERC1967NonPayable()
func PoolManagerERC1967NonPayableErrorID() common.Hash {
	return common.HexToHash("0xb398979fa84f543c8e222f17890372c487baf85e062276c127fef521eea7224b")
}

// UnpackERC1967NonPayableError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error ERC1967NonPayable()
func (poolManager *PoolManager) UnpackERC1967NonPayableError(raw []byte) (*PoolManagerERC1967NonPayable, error) {
	out := new(PoolManagerERC1967NonPayable)
	if err := poolManager.abi.UnpackIntoInterface(out, "ERC1967NonPayable", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// PoolManagerEnforcedPause represents a EnforcedPause error raised by the PoolManager contract.
type PoolManagerEnforcedPause struct {
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error EnforcedPause()
func PoolManagerEnforcedPauseErrorID() common.Hash {
	return common.HexToHash("0xd93c0665d6c96d04a8f174024fc4ddd66c250604aff22bbec808de86dd3637e3")
}

// UnpackEnforcedPauseError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error EnforcedPause()
func (poolManager *PoolManager) UnpackEnforcedPauseError(raw []byte) (*PoolManagerEnforcedPause, error) {
	out := new(PoolManagerEnforcedPause)
	if err := poolManager.abi.UnpackIntoInterface(out, "EnforcedPause", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// PoolManagerExpectedPause represents a ExpectedPause error raised by the PoolManager contract.
type PoolManagerExpectedPause struct {
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error ExpectedPause()
func PoolManagerExpectedPauseErrorID() common.Hash {
	return common.HexToHash("0x8dfc202bcfe9a735b559bee70674422512bc5c30f687046ae8778315fb81da44")
}

// UnpackExpectedPauseError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error ExpectedPause()
func (poolManager *PoolManager) UnpackExpectedPauseError(raw []byte) (*PoolManagerExpectedPause, error) {
	out := new(PoolManagerExpectedPause)
	if err := poolManager.abi.UnpackIntoInterface(out, "ExpectedPause", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// PoolManagerFailedCall represents a FailedCall error raised by the PoolManager contract.
type PoolManagerFailedCall struct {
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error FailedCall()
func PoolManagerFailedCallErrorID() common.Hash {
	return common.HexToHash("0xd6bda27508c0fb6d8a39b4b122878dab26f731a7d4e4abe711dd3731899052a4")
}

// UnpackFailedCallError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error FailedCall()
func (poolManager *PoolManager) UnpackFailedCallError(raw []byte) (*PoolManagerFailedCall, error) {
	out := new(PoolManagerFailedCall)
	if err := poolManager.abi.UnpackIntoInterface(out, "FailedCall", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// PoolManagerInvalidInitialization represents a InvalidInitialization error raised by the PoolManager contract.
type PoolManagerInvalidInitialization struct {
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error InvalidInitialization()
func PoolManagerInvalidInitializationErrorID() common.Hash {
	return common.HexToHash("0xf92ee8a957075833165f68c320933b1a1294aafc84ee6e0dd3fb178008f9aaf5")
}

// UnpackInvalidInitializationError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error InvalidInitialization()
func (poolManager *PoolManager) UnpackInvalidInitializationError(raw []byte) (*PoolManagerInvalidInitialization, error) {
	out := new(PoolManagerInvalidInitialization)
	if err := poolManager.abi.UnpackIntoInterface(out, "InvalidInitialization", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// PoolManagerNotInitializing represents a NotInitializing error raised by the PoolManager contract.
type PoolManagerNotInitializing struct {
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error NotInitializing()
func PoolManagerNotInitializingErrorID() common.Hash {
	return common.HexToHash("0xd7e6bcf8597daa127dc9f0048d2f08d5ef140a2cb659feabd700beff1f7a8302")
}

// UnpackNotInitializingError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error NotInitializing()
func (poolManager *PoolManager) UnpackNotInitializingError(raw []byte) (*PoolManagerNotInitializing, error) {
	out := new(PoolManagerNotInitializing)
	if err := poolManager.abi.UnpackIntoInterface(out, "NotInitializing", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// PoolManagerPoolManagerBadBounds represents a PoolManager_BadBounds error raised by the PoolManager contract.
type PoolManagerPoolManagerBadBounds struct {
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error PoolManager_BadBounds()
func PoolManagerPoolManagerBadBoundsErrorID() common.Hash {
	return common.HexToHash("0xf00d00a29b771cb2d07ed80e95ba756fda47c9a7b51a67f8d23917fde9fd3934")
}

// UnpackPoolManagerBadBoundsError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error PoolManager_BadBounds()
func (poolManager *PoolManager) UnpackPoolManagerBadBoundsError(raw []byte) (*PoolManagerPoolManagerBadBounds, error) {
	out := new(PoolManagerPoolManagerBadBounds)
	if err := poolManager.abi.UnpackIntoInterface(out, "PoolManager_BadBounds", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// PoolManagerPoolManagerCommissionTooHigh represents a PoolManager_CommissionTooHigh error raised by the PoolManager contract.
type PoolManagerPoolManagerCommissionTooHigh struct {
	Bps  uint16
	Most uint16
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error PoolManager_CommissionTooHigh(uint16 bps, uint16 most)
func PoolManagerPoolManagerCommissionTooHighErrorID() common.Hash {
	return common.HexToHash("0xc906a1e09849abe47fa65c020fd1e980fe3ad49c7cba0a784aa00c8349dae1a6")
}

// UnpackPoolManagerCommissionTooHighError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error PoolManager_CommissionTooHigh(uint16 bps, uint16 most)
func (poolManager *PoolManager) UnpackPoolManagerCommissionTooHighError(raw []byte) (*PoolManagerPoolManagerCommissionTooHigh, error) {
	out := new(PoolManagerPoolManagerCommissionTooHigh)
	if err := poolManager.abi.UnpackIntoInterface(out, "PoolManager_CommissionTooHigh", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// PoolManagerPoolManagerConsentExpired represents a PoolManager_ConsentExpired error raised by the PoolManager contract.
type PoolManagerPoolManagerConsentExpired struct {
	Deadline *big.Int
	Now      *big.Int
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error PoolManager_ConsentExpired(uint256 deadline, uint256 now_)
func PoolManagerPoolManagerConsentExpiredErrorID() common.Hash {
	return common.HexToHash("0x4844df01115e03c612fad1c48f4e784e6ae2de696191d70faa3e5d3d39885ca7")
}

// UnpackPoolManagerConsentExpiredError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error PoolManager_ConsentExpired(uint256 deadline, uint256 now_)
func (poolManager *PoolManager) UnpackPoolManagerConsentExpiredError(raw []byte) (*PoolManagerPoolManagerConsentExpired, error) {
	out := new(PoolManagerPoolManagerConsentExpired)
	if err := poolManager.abi.UnpackIntoInterface(out, "PoolManager_ConsentExpired", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// PoolManagerPoolManagerEpochNotOver represents a PoolManager_EpochNotOver error raised by the PoolManager contract.
type PoolManagerPoolManagerEpochNotOver struct {
	Epoch        uint64
	CurrentEpoch uint64
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error PoolManager_EpochNotOver(uint64 epoch, uint64 currentEpoch)
func PoolManagerPoolManagerEpochNotOverErrorID() common.Hash {
	return common.HexToHash("0xc6fdef0b0409bdc06a064bf5f14ad311a6efca5d3b608d2b4281f537c3697858")
}

// UnpackPoolManagerEpochNotOverError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error PoolManager_EpochNotOver(uint64 epoch, uint64 currentEpoch)
func (poolManager *PoolManager) UnpackPoolManagerEpochNotOverError(raw []byte) (*PoolManagerPoolManagerEpochNotOver, error) {
	out := new(PoolManagerPoolManagerEpochNotOver)
	if err := poolManager.abi.UnpackIntoInterface(out, "PoolManager_EpochNotOver", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// PoolManagerPoolManagerLengthsDiffer represents a PoolManager_LengthsDiffer error raised by the PoolManager contract.
type PoolManagerPoolManagerLengthsDiffer struct {
	Epochs  *big.Int
	Amounts *big.Int
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error PoolManager_LengthsDiffer(uint256 epochs, uint256 amounts)
func PoolManagerPoolManagerLengthsDifferErrorID() common.Hash {
	return common.HexToHash("0x0c87952fc7ec28873c2402f43900d5f83f1af444556ac4a7bd38b21e3cd1ecf1")
}

// UnpackPoolManagerLengthsDifferError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error PoolManager_LengthsDiffer(uint256 epochs, uint256 amounts)
func (poolManager *PoolManager) UnpackPoolManagerLengthsDifferError(raw []byte) (*PoolManagerPoolManagerLengthsDiffer, error) {
	out := new(PoolManagerPoolManagerLengthsDiffer)
	if err := poolManager.abi.UnpackIntoInterface(out, "PoolManager_LengthsDiffer", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// PoolManagerPoolManagerNoKeys represents a PoolManager_NoKeys error raised by the PoolManager contract.
type PoolManagerPoolManagerNoKeys struct {
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error PoolManager_NoKeys()
func PoolManagerPoolManagerNoKeysErrorID() common.Hash {
	return common.HexToHash("0xb0c7c2883b07ab0d6dd3303f9fa1aa66f23dfc5d9f98a5cab4fdd8b5c58fda2f")
}

// UnpackPoolManagerNoKeysError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error PoolManager_NoKeys()
func (poolManager *PoolManager) UnpackPoolManagerNoKeysError(raw []byte) (*PoolManagerPoolManagerNoKeys, error) {
	out := new(PoolManagerPoolManagerNoKeys)
	if err := poolManager.abi.UnpackIntoInterface(out, "PoolManager_NoKeys", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// PoolManagerPoolManagerNoPool represents a PoolManager_NoPool error raised by the PoolManager contract.
type PoolManagerPoolManagerNoPool struct {
	Node common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error PoolManager_NoPool(address node)
func PoolManagerPoolManagerNoPoolErrorID() common.Hash {
	return common.HexToHash("0xf4312e67068874ba7ac5d2e5df210b12d5a847956099191e3ba730b0d369b6a3")
}

// UnpackPoolManagerNoPoolError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error PoolManager_NoPool(address node)
func (poolManager *PoolManager) UnpackPoolManagerNoPoolError(raw []byte) (*PoolManagerPoolManagerNoPool, error) {
	out := new(PoolManagerPoolManagerNoPool)
	if err := poolManager.abi.UnpackIntoInterface(out, "PoolManager_NoPool", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// PoolManagerPoolManagerNotDelegatedHere represents a PoolManager_NotDelegatedHere error raised by the PoolManager contract.
type PoolManagerPoolManagerNotDelegatedHere struct {
	Id     *big.Int
	Pool   uint32
	Wanted uint32
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error PoolManager_NotDelegatedHere(uint256 id, uint32 pool, uint32 wanted)
func PoolManagerPoolManagerNotDelegatedHereErrorID() common.Hash {
	return common.HexToHash("0xef833b2e3a2a94b8f6a596548c79e30f551dcafb88b14c344962221f1a7c66c3")
}

// UnpackPoolManagerNotDelegatedHereError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error PoolManager_NotDelegatedHere(uint256 id, uint32 pool, uint32 wanted)
func (poolManager *PoolManager) UnpackPoolManagerNotDelegatedHereError(raw []byte) (*PoolManagerPoolManagerNotDelegatedHere, error) {
	out := new(PoolManagerPoolManagerNotDelegatedHere)
	if err := poolManager.abi.UnpackIntoInterface(out, "PoolManager_NotDelegatedHere", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// PoolManagerPoolManagerNotKeyContract represents a PoolManager_NotKeyContract error raised by the PoolManager contract.
type PoolManagerPoolManagerNotKeyContract struct {
	Caller common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error PoolManager_NotKeyContract(address caller)
func PoolManagerPoolManagerNotKeyContractErrorID() common.Hash {
	return common.HexToHash("0xeb36487238dab86073249879ffe374ca557e038409a28b7e4ad628694623e6d2")
}

// UnpackPoolManagerNotKeyContractError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error PoolManager_NotKeyContract(address caller)
func (poolManager *PoolManager) UnpackPoolManagerNotKeyContractError(raw []byte) (*PoolManagerPoolManagerNotKeyContract, error) {
	out := new(PoolManagerPoolManagerNotKeyContract)
	if err := poolManager.abi.UnpackIntoInterface(out, "PoolManager_NotKeyContract", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// PoolManagerPoolManagerNotNodesConsent represents a PoolManager_NotNodesConsent error raised by the PoolManager contract.
type PoolManagerPoolManagerNotNodesConsent struct {
	Node   common.Address
	Signer common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error PoolManager_NotNodesConsent(address node, address signer)
func PoolManagerPoolManagerNotNodesConsentErrorID() common.Hash {
	return common.HexToHash("0xeb25386ca9af6d21cb567c88990bbd167b49fa1cb21ff23c19ee7af3e623792f")
}

// UnpackPoolManagerNotNodesConsentError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error PoolManager_NotNodesConsent(address node, address signer)
func (poolManager *PoolManager) UnpackPoolManagerNotNodesConsentError(raw []byte) (*PoolManagerPoolManagerNotNodesConsent, error) {
	out := new(PoolManagerPoolManagerNotNodesConsent)
	if err := poolManager.abi.UnpackIntoInterface(out, "PoolManager_NotNodesConsent", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// PoolManagerPoolManagerNotOperator represents a PoolManager_NotOperator error raised by the PoolManager contract.
type PoolManagerPoolManagerNotOperator struct {
	Node     common.Address
	Caller   common.Address
	Operator common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error PoolManager_NotOperator(address node, address caller, address operator)
func PoolManagerPoolManagerNotOperatorErrorID() common.Hash {
	return common.HexToHash("0x6273ec790aee6daea474bf5d7af24ffddb08ced7361c92e1811f68895853c2c4")
}

// UnpackPoolManagerNotOperatorError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error PoolManager_NotOperator(address node, address caller, address operator)
func (poolManager *PoolManager) UnpackPoolManagerNotOperatorError(raw []byte) (*PoolManagerPoolManagerNotOperator, error) {
	out := new(PoolManagerPoolManagerNotOperator)
	if err := poolManager.abi.UnpackIntoInterface(out, "PoolManager_NotOperator", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// PoolManagerPoolManagerNotProposed represents a PoolManager_NotProposed error raised by the PoolManager contract.
type PoolManagerPoolManagerNotProposed struct {
	Node     common.Address
	Caller   common.Address
	Proposed common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error PoolManager_NotProposed(address node, address caller, address proposed)
func PoolManagerPoolManagerNotProposedErrorID() common.Hash {
	return common.HexToHash("0x7f776f4a2bf6604f753a1d5f455806154d9a202ff9b002f5123db3edf032e143")
}

// UnpackPoolManagerNotProposedError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error PoolManager_NotProposed(address node, address caller, address proposed)
func (poolManager *PoolManager) UnpackPoolManagerNotProposedError(raw []byte) (*PoolManagerPoolManagerNotProposed, error) {
	out := new(PoolManagerPoolManagerNotProposed)
	if err := poolManager.abi.UnpackIntoInterface(out, "PoolManager_NotProposed", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// PoolManagerPoolManagerPoolExists represents a PoolManager_PoolExists error raised by the PoolManager contract.
type PoolManagerPoolManagerPoolExists struct {
	Node common.Address
	Pool common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error PoolManager_PoolExists(address node, address pool)
func PoolManagerPoolManagerPoolExistsErrorID() common.Hash {
	return common.HexToHash("0x73ec9f39d724dd805cea21135df0b472cb67c3fb46d6b80ca6e0a878b89a2b82")
}

// UnpackPoolManagerPoolExistsError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error PoolManager_PoolExists(address node, address pool)
func (poolManager *PoolManager) UnpackPoolManagerPoolExistsError(raw []byte) (*PoolManagerPoolManagerPoolExists, error) {
	out := new(PoolManagerPoolManagerPoolExists)
	if err := poolManager.abi.UnpackIntoInterface(out, "PoolManager_PoolExists", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// PoolManagerPoolManagerTooManyKeys represents a PoolManager_TooManyKeys error raised by the PoolManager contract.
type PoolManagerPoolManagerTooManyKeys struct {
	Node common.Address
	Keys *big.Int
	Most *big.Int
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error PoolManager_TooManyKeys(address node, uint256 keys, uint256 most)
func PoolManagerPoolManagerTooManyKeysErrorID() common.Hash {
	return common.HexToHash("0xb0890982df59eaf95f0d8f00540a411af46e0f27810601b81e77b421d4ea7dc5")
}

// UnpackPoolManagerTooManyKeysError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error PoolManager_TooManyKeys(address node, uint256 keys, uint256 most)
func (poolManager *PoolManager) UnpackPoolManagerTooManyKeysError(raw []byte) (*PoolManagerPoolManagerTooManyKeys, error) {
	out := new(PoolManagerPoolManagerTooManyKeys)
	if err := poolManager.abi.UnpackIntoInterface(out, "PoolManager_TooManyKeys", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// PoolManagerPoolManagerTooManyNodes represents a PoolManager_TooManyNodes error raised by the PoolManager contract.
type PoolManagerPoolManagerTooManyNodes struct {
	Active *big.Int
	Most   *big.Int
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error PoolManager_TooManyNodes(uint256 active, uint256 most)
func PoolManagerPoolManagerTooManyNodesErrorID() common.Hash {
	return common.HexToHash("0x2b3d3dc45fe71136b5c59177d45ce5aeb20a72a6cd0391392dd7dfac74a929c3")
}

// UnpackPoolManagerTooManyNodesError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error PoolManager_TooManyNodes(uint256 active, uint256 most)
func (poolManager *PoolManager) UnpackPoolManagerTooManyNodesError(raw []byte) (*PoolManagerPoolManagerTooManyNodes, error) {
	out := new(PoolManagerPoolManagerTooManyNodes)
	if err := poolManager.abi.UnpackIntoInterface(out, "PoolManager_TooManyNodes", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// PoolManagerReentrancyGuardReentrantCall represents a ReentrancyGuardReentrantCall error raised by the PoolManager contract.
type PoolManagerReentrancyGuardReentrantCall struct {
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error ReentrancyGuardReentrantCall()
func PoolManagerReentrancyGuardReentrantCallErrorID() common.Hash {
	return common.HexToHash("0x3ee5aeb571de7fc460830b4d0017439a1ca56fb0bc39062227ade4fe4a24c1ca")
}

// UnpackReentrancyGuardReentrantCallError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error ReentrancyGuardReentrantCall()
func (poolManager *PoolManager) UnpackReentrancyGuardReentrantCallError(raw []byte) (*PoolManagerReentrancyGuardReentrantCall, error) {
	out := new(PoolManagerReentrancyGuardReentrantCall)
	if err := poolManager.abi.UnpackIntoInterface(out, "ReentrancyGuardReentrantCall", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// PoolManagerUUPSUnauthorizedCallContext represents a UUPSUnauthorizedCallContext error raised by the PoolManager contract.
type PoolManagerUUPSUnauthorizedCallContext struct {
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error UUPSUnauthorizedCallContext()
func PoolManagerUUPSUnauthorizedCallContextErrorID() common.Hash {
	return common.HexToHash("0xe07c8dba242a06571ac65fe4bbe20522c9fb111cb33599b799ff8039c1ed18f4")
}

// UnpackUUPSUnauthorizedCallContextError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error UUPSUnauthorizedCallContext()
func (poolManager *PoolManager) UnpackUUPSUnauthorizedCallContextError(raw []byte) (*PoolManagerUUPSUnauthorizedCallContext, error) {
	out := new(PoolManagerUUPSUnauthorizedCallContext)
	if err := poolManager.abi.UnpackIntoInterface(out, "UUPSUnauthorizedCallContext", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// PoolManagerUUPSUnsupportedProxiableUUID represents a UUPSUnsupportedProxiableUUID error raised by the PoolManager contract.
type PoolManagerUUPSUnsupportedProxiableUUID struct {
	Slot [32]byte
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error UUPSUnsupportedProxiableUUID(bytes32 slot)
func PoolManagerUUPSUnsupportedProxiableUUIDErrorID() common.Hash {
	return common.HexToHash("0xaa1d49a4c084bfa9aeeee2a0be65267a7f19ba7e1476b114dac513d2c14cb563")
}

// UnpackUUPSUnsupportedProxiableUUIDError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error UUPSUnsupportedProxiableUUID(bytes32 slot)
func (poolManager *PoolManager) UnpackUUPSUnsupportedProxiableUUIDError(raw []byte) (*PoolManagerUUPSUnsupportedProxiableUUID, error) {
	out := new(PoolManagerUUPSUnsupportedProxiableUUID)
	if err := poolManager.abi.UnpackIntoInterface(out, "UUPSUnsupportedProxiableUUID", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// TimelockControllerMetaData contains all meta data concerning the TimelockController contract.
var TimelockControllerMetaData = bind.MetaData{
	ABI: "[{\"inputs\":[{\"internalType\":\"uint256\",\"name\":\"minDelay\",\"type\":\"uint256\"},{\"internalType\":\"address[]\",\"name\":\"proposers\",\"type\":\"address[]\"},{\"internalType\":\"address[]\",\"name\":\"executors\",\"type\":\"address[]\"},{\"internalType\":\"address\",\"name\":\"admin\",\"type\":\"address\"}],\"stateMutability\":\"nonpayable\",\"type\":\"constructor\"},{\"stateMutability\":\"payable\",\"type\":\"receive\"},{\"inputs\":[],\"name\":\"CANCELLER_ROLE\",\"outputs\":[{\"internalType\":\"bytes32\",\"name\":\"\",\"type\":\"bytes32\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[],\"name\":\"DEFAULT_ADMIN_ROLE\",\"outputs\":[{\"internalType\":\"bytes32\",\"name\":\"\",\"type\":\"bytes32\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[],\"name\":\"EXECUTOR_ROLE\",\"outputs\":[{\"internalType\":\"bytes32\",\"name\":\"\",\"type\":\"bytes32\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[],\"name\":\"PROPOSER_ROLE\",\"outputs\":[{\"internalType\":\"bytes32\",\"name\":\"\",\"type\":\"bytes32\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"bytes32\",\"name\":\"id\",\"type\":\"bytes32\"}],\"name\":\"cancel\",\"outputs\":[],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"target\",\"type\":\"address\"},{\"internalType\":\"uint256\",\"name\":\"value\",\"type\":\"uint256\"},{\"internalType\":\"bytes\",\"name\":\"payload\",\"type\":\"bytes\"},{\"internalType\":\"bytes32\",\"name\":\"predecessor\",\"type\":\"bytes32\"},{\"internalType\":\"bytes32\",\"name\":\"salt\",\"type\":\"bytes32\"}],\"name\":\"execute\",\"outputs\":[],\"stateMutability\":\"payable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address[]\",\"name\":\"targets\",\"type\":\"address[]\"},{\"internalType\":\"uint256[]\",\"name\":\"values\",\"type\":\"uint256[]\"},{\"internalType\":\"bytes[]\",\"name\":\"payloads\",\"type\":\"bytes[]\"},{\"internalType\":\"bytes32\",\"name\":\"predecessor\",\"type\":\"bytes32\"},{\"internalType\":\"bytes32\",\"name\":\"salt\",\"type\":\"bytes32\"}],\"name\":\"executeBatch\",\"outputs\":[],\"stateMutability\":\"payable\",\"type\":\"function\"},{\"inputs\":[],\"name\":\"getMinDelay\",\"outputs\":[{\"internalType\":\"uint256\",\"name\":\"\",\"type\":\"uint256\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"bytes32\",\"name\":\"id\",\"type\":\"bytes32\"}],\"name\":\"getOperationState\",\"outputs\":[{\"internalType\":\"enumTimelockController.OperationState\",\"name\":\"\",\"type\":\"uint8\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"bytes32\",\"name\":\"role\",\"type\":\"bytes32\"}],\"name\":\"getRoleAdmin\",\"outputs\":[{\"internalType\":\"bytes32\",\"name\":\"\",\"type\":\"bytes32\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"bytes32\",\"name\":\"id\",\"type\":\"bytes32\"}],\"name\":\"getTimestamp\",\"outputs\":[{\"internalType\":\"uint256\",\"name\":\"\",\"type\":\"uint256\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"bytes32\",\"name\":\"role\",\"type\":\"bytes32\"},{\"internalType\":\"address\",\"name\":\"account\",\"type\":\"address\"}],\"name\":\"grantRole\",\"outputs\":[],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"bytes32\",\"name\":\"role\",\"type\":\"bytes32\"},{\"internalType\":\"address\",\"name\":\"account\",\"type\":\"address\"}],\"name\":\"hasRole\",\"outputs\":[{\"internalType\":\"bool\",\"name\":\"\",\"type\":\"bool\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"target\",\"type\":\"address\"},{\"internalType\":\"uint256\",\"name\":\"value\",\"type\":\"uint256\"},{\"internalType\":\"bytes\",\"name\":\"data\",\"type\":\"bytes\"},{\"internalType\":\"bytes32\",\"name\":\"predecessor\",\"type\":\"bytes32\"},{\"internalType\":\"bytes32\",\"name\":\"salt\",\"type\":\"bytes32\"}],\"name\":\"hashOperation\",\"outputs\":[{\"internalType\":\"bytes32\",\"name\":\"\",\"type\":\"bytes32\"}],\"stateMutability\":\"pure\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address[]\",\"name\":\"targets\",\"type\":\"address[]\"},{\"internalType\":\"uint256[]\",\"name\":\"values\",\"type\":\"uint256[]\"},{\"internalType\":\"bytes[]\",\"name\":\"payloads\",\"type\":\"bytes[]\"},{\"internalType\":\"bytes32\",\"name\":\"predecessor\",\"type\":\"bytes32\"},{\"internalType\":\"bytes32\",\"name\":\"salt\",\"type\":\"bytes32\"}],\"name\":\"hashOperationBatch\",\"outputs\":[{\"internalType\":\"bytes32\",\"name\":\"\",\"type\":\"bytes32\"}],\"stateMutability\":\"pure\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"bytes32\",\"name\":\"id\",\"type\":\"bytes32\"}],\"name\":\"isOperation\",\"outputs\":[{\"internalType\":\"bool\",\"name\":\"\",\"type\":\"bool\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"bytes32\",\"name\":\"id\",\"type\":\"bytes32\"}],\"name\":\"isOperationDone\",\"outputs\":[{\"internalType\":\"bool\",\"name\":\"\",\"type\":\"bool\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"bytes32\",\"name\":\"id\",\"type\":\"bytes32\"}],\"name\":\"isOperationPending\",\"outputs\":[{\"internalType\":\"bool\",\"name\":\"\",\"type\":\"bool\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"bytes32\",\"name\":\"id\",\"type\":\"bytes32\"}],\"name\":\"isOperationReady\",\"outputs\":[{\"internalType\":\"bool\",\"name\":\"\",\"type\":\"bool\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"\",\"type\":\"address\"},{\"internalType\":\"address\",\"name\":\"\",\"type\":\"address\"},{\"internalType\":\"uint256[]\",\"name\":\"\",\"type\":\"uint256[]\"},{\"internalType\":\"uint256[]\",\"name\":\"\",\"type\":\"uint256[]\"},{\"internalType\":\"bytes\",\"name\":\"\",\"type\":\"bytes\"}],\"name\":\"onERC1155BatchReceived\",\"outputs\":[{\"internalType\":\"bytes4\",\"name\":\"\",\"type\":\"bytes4\"}],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"\",\"type\":\"address\"},{\"internalType\":\"address\",\"name\":\"\",\"type\":\"address\"},{\"internalType\":\"uint256\",\"name\":\"\",\"type\":\"uint256\"},{\"internalType\":\"uint256\",\"name\":\"\",\"type\":\"uint256\"},{\"internalType\":\"bytes\",\"name\":\"\",\"type\":\"bytes\"}],\"name\":\"onERC1155Received\",\"outputs\":[{\"internalType\":\"bytes4\",\"name\":\"\",\"type\":\"bytes4\"}],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"\",\"type\":\"address\"},{\"internalType\":\"address\",\"name\":\"\",\"type\":\"address\"},{\"internalType\":\"uint256\",\"name\":\"\",\"type\":\"uint256\"},{\"internalType\":\"bytes\",\"name\":\"\",\"type\":\"bytes\"}],\"name\":\"onERC721Received\",\"outputs\":[{\"internalType\":\"bytes4\",\"name\":\"\",\"type\":\"bytes4\"}],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"bytes32\",\"name\":\"role\",\"type\":\"bytes32\"},{\"internalType\":\"address\",\"name\":\"callerConfirmation\",\"type\":\"address\"}],\"name\":\"renounceRole\",\"outputs\":[],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"bytes32\",\"name\":\"role\",\"type\":\"bytes32\"},{\"internalType\":\"address\",\"name\":\"account\",\"type\":\"address\"}],\"name\":\"revokeRole\",\"outputs\":[],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"target\",\"type\":\"address\"},{\"internalType\":\"uint256\",\"name\":\"value\",\"type\":\"uint256\"},{\"internalType\":\"bytes\",\"name\":\"data\",\"type\":\"bytes\"},{\"internalType\":\"bytes32\",\"name\":\"predecessor\",\"type\":\"bytes32\"},{\"internalType\":\"bytes32\",\"name\":\"salt\",\"type\":\"bytes32\"},{\"internalType\":\"uint256\",\"name\":\"delay\",\"type\":\"uint256\"}],\"name\":\"schedule\",\"outputs\":[],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address[]\",\"name\":\"targets\",\"type\":\"address[]\"},{\"internalType\":\"uint256[]\",\"name\":\"values\",\"type\":\"uint256[]\"},{\"internalType\":\"bytes[]\",\"name\":\"payloads\",\"type\":\"bytes[]\"},{\"internalType\":\"bytes32\",\"name\":\"predecessor\",\"type\":\"bytes32\"},{\"internalType\":\"bytes32\",\"name\":\"salt\",\"type\":\"bytes32\"},{\"internalType\":\"uint256\",\"name\":\"delay\",\"type\":\"uint256\"}],\"name\":\"scheduleBatch\",\"outputs\":[],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"bytes4\",\"name\":\"interfaceId\",\"type\":\"bytes4\"}],\"name\":\"supportsInterface\",\"outputs\":[{\"internalType\":\"bool\",\"name\":\"\",\"type\":\"bool\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"uint256\",\"name\":\"newDelay\",\"type\":\"uint256\"}],\"name\":\"updateDelay\",\"outputs\":[],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":true,\"internalType\":\"bytes32\",\"name\":\"id\",\"type\":\"bytes32\"},{\"indexed\":true,\"internalType\":\"uint256\",\"name\":\"index\",\"type\":\"uint256\"},{\"indexed\":false,\"internalType\":\"address\",\"name\":\"target\",\"type\":\"address\"},{\"indexed\":false,\"internalType\":\"uint256\",\"name\":\"value\",\"type\":\"uint256\"},{\"indexed\":false,\"internalType\":\"bytes\",\"name\":\"data\",\"type\":\"bytes\"}],\"name\":\"CallExecuted\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":true,\"internalType\":\"bytes32\",\"name\":\"id\",\"type\":\"bytes32\"},{\"indexed\":false,\"internalType\":\"bytes32\",\"name\":\"salt\",\"type\":\"bytes32\"}],\"name\":\"CallSalt\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":true,\"internalType\":\"bytes32\",\"name\":\"id\",\"type\":\"bytes32\"},{\"indexed\":true,\"internalType\":\"uint256\",\"name\":\"index\",\"type\":\"uint256\"},{\"indexed\":false,\"internalType\":\"address\",\"name\":\"target\",\"type\":\"address\"},{\"indexed\":false,\"internalType\":\"uint256\",\"name\":\"value\",\"type\":\"uint256\"},{\"indexed\":false,\"internalType\":\"bytes\",\"name\":\"data\",\"type\":\"bytes\"},{\"indexed\":false,\"internalType\":\"bytes32\",\"name\":\"predecessor\",\"type\":\"bytes32\"},{\"indexed\":false,\"internalType\":\"uint256\",\"name\":\"delay\",\"type\":\"uint256\"}],\"name\":\"CallScheduled\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":true,\"internalType\":\"bytes32\",\"name\":\"id\",\"type\":\"bytes32\"}],\"name\":\"Cancelled\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":false,\"internalType\":\"uint256\",\"name\":\"oldDuration\",\"type\":\"uint256\"},{\"indexed\":false,\"internalType\":\"uint256\",\"name\":\"newDuration\",\"type\":\"uint256\"}],\"name\":\"MinDelayChange\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":true,\"internalType\":\"bytes32\",\"name\":\"role\",\"type\":\"bytes32\"},{\"indexed\":true,\"internalType\":\"bytes32\",\"name\":\"previousAdminRole\",\"type\":\"bytes32\"},{\"indexed\":true,\"internalType\":\"bytes32\",\"name\":\"newAdminRole\",\"type\":\"bytes32\"}],\"name\":\"RoleAdminChanged\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":true,\"internalType\":\"bytes32\",\"name\":\"role\",\"type\":\"bytes32\"},{\"indexed\":true,\"internalType\":\"address\",\"name\":\"account\",\"type\":\"address\"},{\"indexed\":true,\"internalType\":\"address\",\"name\":\"sender\",\"type\":\"address\"}],\"name\":\"RoleGranted\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":true,\"internalType\":\"bytes32\",\"name\":\"role\",\"type\":\"bytes32\"},{\"indexed\":true,\"internalType\":\"address\",\"name\":\"account\",\"type\":\"address\"},{\"indexed\":true,\"internalType\":\"address\",\"name\":\"sender\",\"type\":\"address\"}],\"name\":\"RoleRevoked\",\"type\":\"event\"},{\"inputs\":[],\"name\":\"AccessControlBadConfirmation\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"account\",\"type\":\"address\"},{\"internalType\":\"bytes32\",\"name\":\"neededRole\",\"type\":\"bytes32\"}],\"name\":\"AccessControlUnauthorizedAccount\",\"type\":\"error\"},{\"inputs\":[],\"name\":\"FailedCall\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"uint256\",\"name\":\"delay\",\"type\":\"uint256\"},{\"internalType\":\"uint256\",\"name\":\"minDelay\",\"type\":\"uint256\"}],\"name\":\"TimelockInsufficientDelay\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"uint256\",\"name\":\"targets\",\"type\":\"uint256\"},{\"internalType\":\"uint256\",\"name\":\"payloads\",\"type\":\"uint256\"},{\"internalType\":\"uint256\",\"name\":\"values\",\"type\":\"uint256\"}],\"name\":\"TimelockInvalidOperationLength\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"caller\",\"type\":\"address\"}],\"name\":\"TimelockUnauthorizedCaller\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"bytes32\",\"name\":\"predecessorId\",\"type\":\"bytes32\"}],\"name\":\"TimelockUnexecutedPredecessor\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"bytes32\",\"name\":\"operationId\",\"type\":\"bytes32\"},{\"internalType\":\"bytes32\",\"name\":\"expectedStates\",\"type\":\"bytes32\"}],\"name\":\"TimelockUnexpectedOperationState\",\"type\":\"error\"}]",
	ID:  "5051b6fafc69ed810e740a23c7395aad76",
}

// TimelockController is an auto generated Go binding around an Ethereum contract.
type TimelockController struct {
	abi abi.ABI
}

// GetABI returns the ABI associated with this contract binding.
func (c *TimelockController) GetABI() abi.ABI {
	return c.abi
}

// NewTimelockController creates a new instance of TimelockController.
func NewTimelockController() *TimelockController {
	parsed, err := TimelockControllerMetaData.ParseABI()
	if err != nil {
		panic(errors.New("invalid ABI: " + err.Error()))
	}
	return &TimelockController{abi: *parsed}
}

// Instance creates a wrapper for a deployed contract instance at the given address.
// Use this to create the instance object passed to abigen v2 library functions Call, Transact, etc.
func (c *TimelockController) Instance(backend bind.ContractBackend, addr common.Address) *bind.BoundContract {
	return bind.NewBoundContract(addr, c.abi, backend, backend, backend)
}

// PackConstructor is the Go binding used to pack the parameters required for
// contract deployment.
//
// Solidity: constructor(uint256 minDelay, address[] proposers, address[] executors, address admin) returns()
func (timelockController *TimelockController) PackConstructor(minDelay *big.Int, proposers []common.Address, executors []common.Address, admin common.Address) []byte {
	enc, err := timelockController.abi.Pack("", minDelay, proposers, executors, admin)
	if err != nil {
		panic(err)
	}
	return enc
}

// PackCANCELLERROLE is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xb08e51c0.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function CANCELLER_ROLE() view returns(bytes32)
func (timelockController *TimelockController) PackCANCELLERROLE() []byte {
	enc, err := timelockController.abi.Pack("CANCELLER_ROLE")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackCANCELLERROLE is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xb08e51c0.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function CANCELLER_ROLE() view returns(bytes32)
func (timelockController *TimelockController) TryPackCANCELLERROLE() ([]byte, error) {
	return timelockController.abi.Pack("CANCELLER_ROLE")
}

// UnpackCANCELLERROLE is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xb08e51c0.
//
// Solidity: function CANCELLER_ROLE() view returns(bytes32)
func (timelockController *TimelockController) UnpackCANCELLERROLE(data []byte) ([32]byte, error) {
	out, err := timelockController.abi.Unpack("CANCELLER_ROLE", data)
	if err != nil {
		return *new([32]byte), err
	}
	out0 := *abi.ConvertType(out[0], new([32]byte)).(*[32]byte)
	return out0, nil
}

// PackDEFAULTADMINROLE is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xa217fddf.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function DEFAULT_ADMIN_ROLE() view returns(bytes32)
func (timelockController *TimelockController) PackDEFAULTADMINROLE() []byte {
	enc, err := timelockController.abi.Pack("DEFAULT_ADMIN_ROLE")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackDEFAULTADMINROLE is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xa217fddf.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function DEFAULT_ADMIN_ROLE() view returns(bytes32)
func (timelockController *TimelockController) TryPackDEFAULTADMINROLE() ([]byte, error) {
	return timelockController.abi.Pack("DEFAULT_ADMIN_ROLE")
}

// UnpackDEFAULTADMINROLE is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xa217fddf.
//
// Solidity: function DEFAULT_ADMIN_ROLE() view returns(bytes32)
func (timelockController *TimelockController) UnpackDEFAULTADMINROLE(data []byte) ([32]byte, error) {
	out, err := timelockController.abi.Unpack("DEFAULT_ADMIN_ROLE", data)
	if err != nil {
		return *new([32]byte), err
	}
	out0 := *abi.ConvertType(out[0], new([32]byte)).(*[32]byte)
	return out0, nil
}

// PackEXECUTORROLE is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x07bd0265.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function EXECUTOR_ROLE() view returns(bytes32)
func (timelockController *TimelockController) PackEXECUTORROLE() []byte {
	enc, err := timelockController.abi.Pack("EXECUTOR_ROLE")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackEXECUTORROLE is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x07bd0265.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function EXECUTOR_ROLE() view returns(bytes32)
func (timelockController *TimelockController) TryPackEXECUTORROLE() ([]byte, error) {
	return timelockController.abi.Pack("EXECUTOR_ROLE")
}

// UnpackEXECUTORROLE is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x07bd0265.
//
// Solidity: function EXECUTOR_ROLE() view returns(bytes32)
func (timelockController *TimelockController) UnpackEXECUTORROLE(data []byte) ([32]byte, error) {
	out, err := timelockController.abi.Unpack("EXECUTOR_ROLE", data)
	if err != nil {
		return *new([32]byte), err
	}
	out0 := *abi.ConvertType(out[0], new([32]byte)).(*[32]byte)
	return out0, nil
}

// PackPROPOSERROLE is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x8f61f4f5.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function PROPOSER_ROLE() view returns(bytes32)
func (timelockController *TimelockController) PackPROPOSERROLE() []byte {
	enc, err := timelockController.abi.Pack("PROPOSER_ROLE")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackPROPOSERROLE is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x8f61f4f5.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function PROPOSER_ROLE() view returns(bytes32)
func (timelockController *TimelockController) TryPackPROPOSERROLE() ([]byte, error) {
	return timelockController.abi.Pack("PROPOSER_ROLE")
}

// UnpackPROPOSERROLE is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x8f61f4f5.
//
// Solidity: function PROPOSER_ROLE() view returns(bytes32)
func (timelockController *TimelockController) UnpackPROPOSERROLE(data []byte) ([32]byte, error) {
	out, err := timelockController.abi.Unpack("PROPOSER_ROLE", data)
	if err != nil {
		return *new([32]byte), err
	}
	out0 := *abi.ConvertType(out[0], new([32]byte)).(*[32]byte)
	return out0, nil
}

// PackCancel is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xc4d252f5.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function cancel(bytes32 id) returns()
func (timelockController *TimelockController) PackCancel(id [32]byte) []byte {
	enc, err := timelockController.abi.Pack("cancel", id)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackCancel is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xc4d252f5.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function cancel(bytes32 id) returns()
func (timelockController *TimelockController) TryPackCancel(id [32]byte) ([]byte, error) {
	return timelockController.abi.Pack("cancel", id)
}

// PackExecute is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x134008d3.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function execute(address target, uint256 value, bytes payload, bytes32 predecessor, bytes32 salt) payable returns()
func (timelockController *TimelockController) PackExecute(target common.Address, value *big.Int, payload []byte, predecessor [32]byte, salt [32]byte) []byte {
	enc, err := timelockController.abi.Pack("execute", target, value, payload, predecessor, salt)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackExecute is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x134008d3.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function execute(address target, uint256 value, bytes payload, bytes32 predecessor, bytes32 salt) payable returns()
func (timelockController *TimelockController) TryPackExecute(target common.Address, value *big.Int, payload []byte, predecessor [32]byte, salt [32]byte) ([]byte, error) {
	return timelockController.abi.Pack("execute", target, value, payload, predecessor, salt)
}

// PackExecuteBatch is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xe38335e5.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function executeBatch(address[] targets, uint256[] values, bytes[] payloads, bytes32 predecessor, bytes32 salt) payable returns()
func (timelockController *TimelockController) PackExecuteBatch(targets []common.Address, values []*big.Int, payloads [][]byte, predecessor [32]byte, salt [32]byte) []byte {
	enc, err := timelockController.abi.Pack("executeBatch", targets, values, payloads, predecessor, salt)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackExecuteBatch is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xe38335e5.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function executeBatch(address[] targets, uint256[] values, bytes[] payloads, bytes32 predecessor, bytes32 salt) payable returns()
func (timelockController *TimelockController) TryPackExecuteBatch(targets []common.Address, values []*big.Int, payloads [][]byte, predecessor [32]byte, salt [32]byte) ([]byte, error) {
	return timelockController.abi.Pack("executeBatch", targets, values, payloads, predecessor, salt)
}

// PackGetMinDelay is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xf27a0c92.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function getMinDelay() view returns(uint256)
func (timelockController *TimelockController) PackGetMinDelay() []byte {
	enc, err := timelockController.abi.Pack("getMinDelay")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackGetMinDelay is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xf27a0c92.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function getMinDelay() view returns(uint256)
func (timelockController *TimelockController) TryPackGetMinDelay() ([]byte, error) {
	return timelockController.abi.Pack("getMinDelay")
}

// UnpackGetMinDelay is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xf27a0c92.
//
// Solidity: function getMinDelay() view returns(uint256)
func (timelockController *TimelockController) UnpackGetMinDelay(data []byte) (*big.Int, error) {
	out, err := timelockController.abi.Unpack("getMinDelay", data)
	if err != nil {
		return new(big.Int), err
	}
	out0 := abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	return out0, nil
}

// PackGetOperationState is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x7958004c.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function getOperationState(bytes32 id) view returns(uint8)
func (timelockController *TimelockController) PackGetOperationState(id [32]byte) []byte {
	enc, err := timelockController.abi.Pack("getOperationState", id)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackGetOperationState is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x7958004c.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function getOperationState(bytes32 id) view returns(uint8)
func (timelockController *TimelockController) TryPackGetOperationState(id [32]byte) ([]byte, error) {
	return timelockController.abi.Pack("getOperationState", id)
}

// UnpackGetOperationState is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x7958004c.
//
// Solidity: function getOperationState(bytes32 id) view returns(uint8)
func (timelockController *TimelockController) UnpackGetOperationState(data []byte) (uint8, error) {
	out, err := timelockController.abi.Unpack("getOperationState", data)
	if err != nil {
		return *new(uint8), err
	}
	out0 := *abi.ConvertType(out[0], new(uint8)).(*uint8)
	return out0, nil
}

// PackGetRoleAdmin is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x248a9ca3.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function getRoleAdmin(bytes32 role) view returns(bytes32)
func (timelockController *TimelockController) PackGetRoleAdmin(role [32]byte) []byte {
	enc, err := timelockController.abi.Pack("getRoleAdmin", role)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackGetRoleAdmin is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x248a9ca3.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function getRoleAdmin(bytes32 role) view returns(bytes32)
func (timelockController *TimelockController) TryPackGetRoleAdmin(role [32]byte) ([]byte, error) {
	return timelockController.abi.Pack("getRoleAdmin", role)
}

// UnpackGetRoleAdmin is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x248a9ca3.
//
// Solidity: function getRoleAdmin(bytes32 role) view returns(bytes32)
func (timelockController *TimelockController) UnpackGetRoleAdmin(data []byte) ([32]byte, error) {
	out, err := timelockController.abi.Unpack("getRoleAdmin", data)
	if err != nil {
		return *new([32]byte), err
	}
	out0 := *abi.ConvertType(out[0], new([32]byte)).(*[32]byte)
	return out0, nil
}

// PackGetTimestamp is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xd45c4435.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function getTimestamp(bytes32 id) view returns(uint256)
func (timelockController *TimelockController) PackGetTimestamp(id [32]byte) []byte {
	enc, err := timelockController.abi.Pack("getTimestamp", id)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackGetTimestamp is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xd45c4435.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function getTimestamp(bytes32 id) view returns(uint256)
func (timelockController *TimelockController) TryPackGetTimestamp(id [32]byte) ([]byte, error) {
	return timelockController.abi.Pack("getTimestamp", id)
}

// UnpackGetTimestamp is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xd45c4435.
//
// Solidity: function getTimestamp(bytes32 id) view returns(uint256)
func (timelockController *TimelockController) UnpackGetTimestamp(data []byte) (*big.Int, error) {
	out, err := timelockController.abi.Unpack("getTimestamp", data)
	if err != nil {
		return new(big.Int), err
	}
	out0 := abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	return out0, nil
}

// PackGrantRole is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x2f2ff15d.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function grantRole(bytes32 role, address account) returns()
func (timelockController *TimelockController) PackGrantRole(role [32]byte, account common.Address) []byte {
	enc, err := timelockController.abi.Pack("grantRole", role, account)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackGrantRole is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x2f2ff15d.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function grantRole(bytes32 role, address account) returns()
func (timelockController *TimelockController) TryPackGrantRole(role [32]byte, account common.Address) ([]byte, error) {
	return timelockController.abi.Pack("grantRole", role, account)
}

// PackHasRole is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x91d14854.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function hasRole(bytes32 role, address account) view returns(bool)
func (timelockController *TimelockController) PackHasRole(role [32]byte, account common.Address) []byte {
	enc, err := timelockController.abi.Pack("hasRole", role, account)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackHasRole is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x91d14854.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function hasRole(bytes32 role, address account) view returns(bool)
func (timelockController *TimelockController) TryPackHasRole(role [32]byte, account common.Address) ([]byte, error) {
	return timelockController.abi.Pack("hasRole", role, account)
}

// UnpackHasRole is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x91d14854.
//
// Solidity: function hasRole(bytes32 role, address account) view returns(bool)
func (timelockController *TimelockController) UnpackHasRole(data []byte) (bool, error) {
	out, err := timelockController.abi.Unpack("hasRole", data)
	if err != nil {
		return *new(bool), err
	}
	out0 := *abi.ConvertType(out[0], new(bool)).(*bool)
	return out0, nil
}

// PackHashOperation is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x8065657f.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function hashOperation(address target, uint256 value, bytes data, bytes32 predecessor, bytes32 salt) pure returns(bytes32)
func (timelockController *TimelockController) PackHashOperation(target common.Address, value *big.Int, data []byte, predecessor [32]byte, salt [32]byte) []byte {
	enc, err := timelockController.abi.Pack("hashOperation", target, value, data, predecessor, salt)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackHashOperation is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x8065657f.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function hashOperation(address target, uint256 value, bytes data, bytes32 predecessor, bytes32 salt) pure returns(bytes32)
func (timelockController *TimelockController) TryPackHashOperation(target common.Address, value *big.Int, data []byte, predecessor [32]byte, salt [32]byte) ([]byte, error) {
	return timelockController.abi.Pack("hashOperation", target, value, data, predecessor, salt)
}

// UnpackHashOperation is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x8065657f.
//
// Solidity: function hashOperation(address target, uint256 value, bytes data, bytes32 predecessor, bytes32 salt) pure returns(bytes32)
func (timelockController *TimelockController) UnpackHashOperation(data []byte) ([32]byte, error) {
	out, err := timelockController.abi.Unpack("hashOperation", data)
	if err != nil {
		return *new([32]byte), err
	}
	out0 := *abi.ConvertType(out[0], new([32]byte)).(*[32]byte)
	return out0, nil
}

// PackHashOperationBatch is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xb1c5f427.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function hashOperationBatch(address[] targets, uint256[] values, bytes[] payloads, bytes32 predecessor, bytes32 salt) pure returns(bytes32)
func (timelockController *TimelockController) PackHashOperationBatch(targets []common.Address, values []*big.Int, payloads [][]byte, predecessor [32]byte, salt [32]byte) []byte {
	enc, err := timelockController.abi.Pack("hashOperationBatch", targets, values, payloads, predecessor, salt)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackHashOperationBatch is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xb1c5f427.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function hashOperationBatch(address[] targets, uint256[] values, bytes[] payloads, bytes32 predecessor, bytes32 salt) pure returns(bytes32)
func (timelockController *TimelockController) TryPackHashOperationBatch(targets []common.Address, values []*big.Int, payloads [][]byte, predecessor [32]byte, salt [32]byte) ([]byte, error) {
	return timelockController.abi.Pack("hashOperationBatch", targets, values, payloads, predecessor, salt)
}

// UnpackHashOperationBatch is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xb1c5f427.
//
// Solidity: function hashOperationBatch(address[] targets, uint256[] values, bytes[] payloads, bytes32 predecessor, bytes32 salt) pure returns(bytes32)
func (timelockController *TimelockController) UnpackHashOperationBatch(data []byte) ([32]byte, error) {
	out, err := timelockController.abi.Unpack("hashOperationBatch", data)
	if err != nil {
		return *new([32]byte), err
	}
	out0 := *abi.ConvertType(out[0], new([32]byte)).(*[32]byte)
	return out0, nil
}

// PackIsOperation is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x31d50750.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function isOperation(bytes32 id) view returns(bool)
func (timelockController *TimelockController) PackIsOperation(id [32]byte) []byte {
	enc, err := timelockController.abi.Pack("isOperation", id)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackIsOperation is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x31d50750.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function isOperation(bytes32 id) view returns(bool)
func (timelockController *TimelockController) TryPackIsOperation(id [32]byte) ([]byte, error) {
	return timelockController.abi.Pack("isOperation", id)
}

// UnpackIsOperation is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x31d50750.
//
// Solidity: function isOperation(bytes32 id) view returns(bool)
func (timelockController *TimelockController) UnpackIsOperation(data []byte) (bool, error) {
	out, err := timelockController.abi.Unpack("isOperation", data)
	if err != nil {
		return *new(bool), err
	}
	out0 := *abi.ConvertType(out[0], new(bool)).(*bool)
	return out0, nil
}

// PackIsOperationDone is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x2ab0f529.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function isOperationDone(bytes32 id) view returns(bool)
func (timelockController *TimelockController) PackIsOperationDone(id [32]byte) []byte {
	enc, err := timelockController.abi.Pack("isOperationDone", id)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackIsOperationDone is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x2ab0f529.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function isOperationDone(bytes32 id) view returns(bool)
func (timelockController *TimelockController) TryPackIsOperationDone(id [32]byte) ([]byte, error) {
	return timelockController.abi.Pack("isOperationDone", id)
}

// UnpackIsOperationDone is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x2ab0f529.
//
// Solidity: function isOperationDone(bytes32 id) view returns(bool)
func (timelockController *TimelockController) UnpackIsOperationDone(data []byte) (bool, error) {
	out, err := timelockController.abi.Unpack("isOperationDone", data)
	if err != nil {
		return *new(bool), err
	}
	out0 := *abi.ConvertType(out[0], new(bool)).(*bool)
	return out0, nil
}

// PackIsOperationPending is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x584b153e.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function isOperationPending(bytes32 id) view returns(bool)
func (timelockController *TimelockController) PackIsOperationPending(id [32]byte) []byte {
	enc, err := timelockController.abi.Pack("isOperationPending", id)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackIsOperationPending is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x584b153e.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function isOperationPending(bytes32 id) view returns(bool)
func (timelockController *TimelockController) TryPackIsOperationPending(id [32]byte) ([]byte, error) {
	return timelockController.abi.Pack("isOperationPending", id)
}

// UnpackIsOperationPending is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x584b153e.
//
// Solidity: function isOperationPending(bytes32 id) view returns(bool)
func (timelockController *TimelockController) UnpackIsOperationPending(data []byte) (bool, error) {
	out, err := timelockController.abi.Unpack("isOperationPending", data)
	if err != nil {
		return *new(bool), err
	}
	out0 := *abi.ConvertType(out[0], new(bool)).(*bool)
	return out0, nil
}

// PackIsOperationReady is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x13bc9f20.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function isOperationReady(bytes32 id) view returns(bool)
func (timelockController *TimelockController) PackIsOperationReady(id [32]byte) []byte {
	enc, err := timelockController.abi.Pack("isOperationReady", id)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackIsOperationReady is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x13bc9f20.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function isOperationReady(bytes32 id) view returns(bool)
func (timelockController *TimelockController) TryPackIsOperationReady(id [32]byte) ([]byte, error) {
	return timelockController.abi.Pack("isOperationReady", id)
}

// UnpackIsOperationReady is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x13bc9f20.
//
// Solidity: function isOperationReady(bytes32 id) view returns(bool)
func (timelockController *TimelockController) UnpackIsOperationReady(data []byte) (bool, error) {
	out, err := timelockController.abi.Unpack("isOperationReady", data)
	if err != nil {
		return *new(bool), err
	}
	out0 := *abi.ConvertType(out[0], new(bool)).(*bool)
	return out0, nil
}

// PackOnERC1155BatchReceived is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xbc197c81.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function onERC1155BatchReceived(address , address , uint256[] , uint256[] , bytes ) returns(bytes4)
func (timelockController *TimelockController) PackOnERC1155BatchReceived(arg0 common.Address, arg1 common.Address, arg2 []*big.Int, arg3 []*big.Int, arg4 []byte) []byte {
	enc, err := timelockController.abi.Pack("onERC1155BatchReceived", arg0, arg1, arg2, arg3, arg4)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackOnERC1155BatchReceived is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xbc197c81.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function onERC1155BatchReceived(address , address , uint256[] , uint256[] , bytes ) returns(bytes4)
func (timelockController *TimelockController) TryPackOnERC1155BatchReceived(arg0 common.Address, arg1 common.Address, arg2 []*big.Int, arg3 []*big.Int, arg4 []byte) ([]byte, error) {
	return timelockController.abi.Pack("onERC1155BatchReceived", arg0, arg1, arg2, arg3, arg4)
}

// UnpackOnERC1155BatchReceived is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xbc197c81.
//
// Solidity: function onERC1155BatchReceived(address , address , uint256[] , uint256[] , bytes ) returns(bytes4)
func (timelockController *TimelockController) UnpackOnERC1155BatchReceived(data []byte) ([4]byte, error) {
	out, err := timelockController.abi.Unpack("onERC1155BatchReceived", data)
	if err != nil {
		return *new([4]byte), err
	}
	out0 := *abi.ConvertType(out[0], new([4]byte)).(*[4]byte)
	return out0, nil
}

// PackOnERC1155Received is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xf23a6e61.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function onERC1155Received(address , address , uint256 , uint256 , bytes ) returns(bytes4)
func (timelockController *TimelockController) PackOnERC1155Received(arg0 common.Address, arg1 common.Address, arg2 *big.Int, arg3 *big.Int, arg4 []byte) []byte {
	enc, err := timelockController.abi.Pack("onERC1155Received", arg0, arg1, arg2, arg3, arg4)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackOnERC1155Received is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xf23a6e61.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function onERC1155Received(address , address , uint256 , uint256 , bytes ) returns(bytes4)
func (timelockController *TimelockController) TryPackOnERC1155Received(arg0 common.Address, arg1 common.Address, arg2 *big.Int, arg3 *big.Int, arg4 []byte) ([]byte, error) {
	return timelockController.abi.Pack("onERC1155Received", arg0, arg1, arg2, arg3, arg4)
}

// UnpackOnERC1155Received is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xf23a6e61.
//
// Solidity: function onERC1155Received(address , address , uint256 , uint256 , bytes ) returns(bytes4)
func (timelockController *TimelockController) UnpackOnERC1155Received(data []byte) ([4]byte, error) {
	out, err := timelockController.abi.Unpack("onERC1155Received", data)
	if err != nil {
		return *new([4]byte), err
	}
	out0 := *abi.ConvertType(out[0], new([4]byte)).(*[4]byte)
	return out0, nil
}

// PackOnERC721Received is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x150b7a02.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function onERC721Received(address , address , uint256 , bytes ) returns(bytes4)
func (timelockController *TimelockController) PackOnERC721Received(arg0 common.Address, arg1 common.Address, arg2 *big.Int, arg3 []byte) []byte {
	enc, err := timelockController.abi.Pack("onERC721Received", arg0, arg1, arg2, arg3)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackOnERC721Received is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x150b7a02.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function onERC721Received(address , address , uint256 , bytes ) returns(bytes4)
func (timelockController *TimelockController) TryPackOnERC721Received(arg0 common.Address, arg1 common.Address, arg2 *big.Int, arg3 []byte) ([]byte, error) {
	return timelockController.abi.Pack("onERC721Received", arg0, arg1, arg2, arg3)
}

// UnpackOnERC721Received is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x150b7a02.
//
// Solidity: function onERC721Received(address , address , uint256 , bytes ) returns(bytes4)
func (timelockController *TimelockController) UnpackOnERC721Received(data []byte) ([4]byte, error) {
	out, err := timelockController.abi.Unpack("onERC721Received", data)
	if err != nil {
		return *new([4]byte), err
	}
	out0 := *abi.ConvertType(out[0], new([4]byte)).(*[4]byte)
	return out0, nil
}

// PackRenounceRole is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x36568abe.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function renounceRole(bytes32 role, address callerConfirmation) returns()
func (timelockController *TimelockController) PackRenounceRole(role [32]byte, callerConfirmation common.Address) []byte {
	enc, err := timelockController.abi.Pack("renounceRole", role, callerConfirmation)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackRenounceRole is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x36568abe.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function renounceRole(bytes32 role, address callerConfirmation) returns()
func (timelockController *TimelockController) TryPackRenounceRole(role [32]byte, callerConfirmation common.Address) ([]byte, error) {
	return timelockController.abi.Pack("renounceRole", role, callerConfirmation)
}

// PackRevokeRole is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xd547741f.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function revokeRole(bytes32 role, address account) returns()
func (timelockController *TimelockController) PackRevokeRole(role [32]byte, account common.Address) []byte {
	enc, err := timelockController.abi.Pack("revokeRole", role, account)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackRevokeRole is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xd547741f.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function revokeRole(bytes32 role, address account) returns()
func (timelockController *TimelockController) TryPackRevokeRole(role [32]byte, account common.Address) ([]byte, error) {
	return timelockController.abi.Pack("revokeRole", role, account)
}

// PackSchedule is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x01d5062a.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function schedule(address target, uint256 value, bytes data, bytes32 predecessor, bytes32 salt, uint256 delay) returns()
func (timelockController *TimelockController) PackSchedule(target common.Address, value *big.Int, data []byte, predecessor [32]byte, salt [32]byte, delay *big.Int) []byte {
	enc, err := timelockController.abi.Pack("schedule", target, value, data, predecessor, salt, delay)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackSchedule is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x01d5062a.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function schedule(address target, uint256 value, bytes data, bytes32 predecessor, bytes32 salt, uint256 delay) returns()
func (timelockController *TimelockController) TryPackSchedule(target common.Address, value *big.Int, data []byte, predecessor [32]byte, salt [32]byte, delay *big.Int) ([]byte, error) {
	return timelockController.abi.Pack("schedule", target, value, data, predecessor, salt, delay)
}

// PackScheduleBatch is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x8f2a0bb0.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function scheduleBatch(address[] targets, uint256[] values, bytes[] payloads, bytes32 predecessor, bytes32 salt, uint256 delay) returns()
func (timelockController *TimelockController) PackScheduleBatch(targets []common.Address, values []*big.Int, payloads [][]byte, predecessor [32]byte, salt [32]byte, delay *big.Int) []byte {
	enc, err := timelockController.abi.Pack("scheduleBatch", targets, values, payloads, predecessor, salt, delay)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackScheduleBatch is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x8f2a0bb0.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function scheduleBatch(address[] targets, uint256[] values, bytes[] payloads, bytes32 predecessor, bytes32 salt, uint256 delay) returns()
func (timelockController *TimelockController) TryPackScheduleBatch(targets []common.Address, values []*big.Int, payloads [][]byte, predecessor [32]byte, salt [32]byte, delay *big.Int) ([]byte, error) {
	return timelockController.abi.Pack("scheduleBatch", targets, values, payloads, predecessor, salt, delay)
}

// PackSupportsInterface is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x01ffc9a7.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function supportsInterface(bytes4 interfaceId) view returns(bool)
func (timelockController *TimelockController) PackSupportsInterface(interfaceId [4]byte) []byte {
	enc, err := timelockController.abi.Pack("supportsInterface", interfaceId)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackSupportsInterface is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x01ffc9a7.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function supportsInterface(bytes4 interfaceId) view returns(bool)
func (timelockController *TimelockController) TryPackSupportsInterface(interfaceId [4]byte) ([]byte, error) {
	return timelockController.abi.Pack("supportsInterface", interfaceId)
}

// UnpackSupportsInterface is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x01ffc9a7.
//
// Solidity: function supportsInterface(bytes4 interfaceId) view returns(bool)
func (timelockController *TimelockController) UnpackSupportsInterface(data []byte) (bool, error) {
	out, err := timelockController.abi.Unpack("supportsInterface", data)
	if err != nil {
		return *new(bool), err
	}
	out0 := *abi.ConvertType(out[0], new(bool)).(*bool)
	return out0, nil
}

// PackUpdateDelay is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x64d62353.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function updateDelay(uint256 newDelay) returns()
func (timelockController *TimelockController) PackUpdateDelay(newDelay *big.Int) []byte {
	enc, err := timelockController.abi.Pack("updateDelay", newDelay)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackUpdateDelay is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x64d62353.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function updateDelay(uint256 newDelay) returns()
func (timelockController *TimelockController) TryPackUpdateDelay(newDelay *big.Int) ([]byte, error) {
	return timelockController.abi.Pack("updateDelay", newDelay)
}

// TimelockControllerCallExecuted represents a CallExecuted event raised by the TimelockController contract.
type TimelockControllerCallExecuted struct {
	Id     [32]byte
	Index  *big.Int
	Target common.Address
	Value  *big.Int
	Data   []byte
	Raw    *types.Log // Blockchain specific contextual infos
}

const TimelockControllerCallExecutedEventName = "CallExecuted"

// ContractEventName returns the user-defined event name.
func (TimelockControllerCallExecuted) ContractEventName() string {
	return TimelockControllerCallExecutedEventName
}

// UnpackCallExecutedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event CallExecuted(bytes32 indexed id, uint256 indexed index, address target, uint256 value, bytes data)
func (timelockController *TimelockController) UnpackCallExecutedEvent(log *types.Log) (*TimelockControllerCallExecuted, error) {
	event := "CallExecuted"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != timelockController.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(TimelockControllerCallExecuted)
	if len(log.Data) > 0 {
		if err := timelockController.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range timelockController.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// TimelockControllerCallSalt represents a CallSalt event raised by the TimelockController contract.
type TimelockControllerCallSalt struct {
	Id   [32]byte
	Salt [32]byte
	Raw  *types.Log // Blockchain specific contextual infos
}

const TimelockControllerCallSaltEventName = "CallSalt"

// ContractEventName returns the user-defined event name.
func (TimelockControllerCallSalt) ContractEventName() string {
	return TimelockControllerCallSaltEventName
}

// UnpackCallSaltEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event CallSalt(bytes32 indexed id, bytes32 salt)
func (timelockController *TimelockController) UnpackCallSaltEvent(log *types.Log) (*TimelockControllerCallSalt, error) {
	event := "CallSalt"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != timelockController.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(TimelockControllerCallSalt)
	if len(log.Data) > 0 {
		if err := timelockController.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range timelockController.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// TimelockControllerCallScheduled represents a CallScheduled event raised by the TimelockController contract.
type TimelockControllerCallScheduled struct {
	Id          [32]byte
	Index       *big.Int
	Target      common.Address
	Value       *big.Int
	Data        []byte
	Predecessor [32]byte
	Delay       *big.Int
	Raw         *types.Log // Blockchain specific contextual infos
}

const TimelockControllerCallScheduledEventName = "CallScheduled"

// ContractEventName returns the user-defined event name.
func (TimelockControllerCallScheduled) ContractEventName() string {
	return TimelockControllerCallScheduledEventName
}

// UnpackCallScheduledEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event CallScheduled(bytes32 indexed id, uint256 indexed index, address target, uint256 value, bytes data, bytes32 predecessor, uint256 delay)
func (timelockController *TimelockController) UnpackCallScheduledEvent(log *types.Log) (*TimelockControllerCallScheduled, error) {
	event := "CallScheduled"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != timelockController.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(TimelockControllerCallScheduled)
	if len(log.Data) > 0 {
		if err := timelockController.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range timelockController.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// TimelockControllerCancelled represents a Cancelled event raised by the TimelockController contract.
type TimelockControllerCancelled struct {
	Id  [32]byte
	Raw *types.Log // Blockchain specific contextual infos
}

const TimelockControllerCancelledEventName = "Cancelled"

// ContractEventName returns the user-defined event name.
func (TimelockControllerCancelled) ContractEventName() string {
	return TimelockControllerCancelledEventName
}

// UnpackCancelledEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event Cancelled(bytes32 indexed id)
func (timelockController *TimelockController) UnpackCancelledEvent(log *types.Log) (*TimelockControllerCancelled, error) {
	event := "Cancelled"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != timelockController.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(TimelockControllerCancelled)
	if len(log.Data) > 0 {
		if err := timelockController.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range timelockController.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// TimelockControllerMinDelayChange represents a MinDelayChange event raised by the TimelockController contract.
type TimelockControllerMinDelayChange struct {
	OldDuration *big.Int
	NewDuration *big.Int
	Raw         *types.Log // Blockchain specific contextual infos
}

const TimelockControllerMinDelayChangeEventName = "MinDelayChange"

// ContractEventName returns the user-defined event name.
func (TimelockControllerMinDelayChange) ContractEventName() string {
	return TimelockControllerMinDelayChangeEventName
}

// UnpackMinDelayChangeEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event MinDelayChange(uint256 oldDuration, uint256 newDuration)
func (timelockController *TimelockController) UnpackMinDelayChangeEvent(log *types.Log) (*TimelockControllerMinDelayChange, error) {
	event := "MinDelayChange"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != timelockController.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(TimelockControllerMinDelayChange)
	if len(log.Data) > 0 {
		if err := timelockController.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range timelockController.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// TimelockControllerRoleAdminChanged represents a RoleAdminChanged event raised by the TimelockController contract.
type TimelockControllerRoleAdminChanged struct {
	Role              [32]byte
	PreviousAdminRole [32]byte
	NewAdminRole      [32]byte
	Raw               *types.Log // Blockchain specific contextual infos
}

const TimelockControllerRoleAdminChangedEventName = "RoleAdminChanged"

// ContractEventName returns the user-defined event name.
func (TimelockControllerRoleAdminChanged) ContractEventName() string {
	return TimelockControllerRoleAdminChangedEventName
}

// UnpackRoleAdminChangedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event RoleAdminChanged(bytes32 indexed role, bytes32 indexed previousAdminRole, bytes32 indexed newAdminRole)
func (timelockController *TimelockController) UnpackRoleAdminChangedEvent(log *types.Log) (*TimelockControllerRoleAdminChanged, error) {
	event := "RoleAdminChanged"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != timelockController.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(TimelockControllerRoleAdminChanged)
	if len(log.Data) > 0 {
		if err := timelockController.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range timelockController.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// TimelockControllerRoleGranted represents a RoleGranted event raised by the TimelockController contract.
type TimelockControllerRoleGranted struct {
	Role    [32]byte
	Account common.Address
	Sender  common.Address
	Raw     *types.Log // Blockchain specific contextual infos
}

const TimelockControllerRoleGrantedEventName = "RoleGranted"

// ContractEventName returns the user-defined event name.
func (TimelockControllerRoleGranted) ContractEventName() string {
	return TimelockControllerRoleGrantedEventName
}

// UnpackRoleGrantedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event RoleGranted(bytes32 indexed role, address indexed account, address indexed sender)
func (timelockController *TimelockController) UnpackRoleGrantedEvent(log *types.Log) (*TimelockControllerRoleGranted, error) {
	event := "RoleGranted"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != timelockController.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(TimelockControllerRoleGranted)
	if len(log.Data) > 0 {
		if err := timelockController.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range timelockController.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// TimelockControllerRoleRevoked represents a RoleRevoked event raised by the TimelockController contract.
type TimelockControllerRoleRevoked struct {
	Role    [32]byte
	Account common.Address
	Sender  common.Address
	Raw     *types.Log // Blockchain specific contextual infos
}

const TimelockControllerRoleRevokedEventName = "RoleRevoked"

// ContractEventName returns the user-defined event name.
func (TimelockControllerRoleRevoked) ContractEventName() string {
	return TimelockControllerRoleRevokedEventName
}

// UnpackRoleRevokedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event RoleRevoked(bytes32 indexed role, address indexed account, address indexed sender)
func (timelockController *TimelockController) UnpackRoleRevokedEvent(log *types.Log) (*TimelockControllerRoleRevoked, error) {
	event := "RoleRevoked"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != timelockController.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(TimelockControllerRoleRevoked)
	if len(log.Data) > 0 {
		if err := timelockController.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range timelockController.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// UnpackError attempts to decode the provided error data using user-defined
// error definitions.
func (timelockController *TimelockController) UnpackError(raw []byte) (any, error) {
	if bytes.Equal(raw[:4], timelockController.abi.Errors["AccessControlBadConfirmation"].ID.Bytes()[:4]) {
		return timelockController.UnpackAccessControlBadConfirmationError(raw[4:])
	}
	if bytes.Equal(raw[:4], timelockController.abi.Errors["AccessControlUnauthorizedAccount"].ID.Bytes()[:4]) {
		return timelockController.UnpackAccessControlUnauthorizedAccountError(raw[4:])
	}
	if bytes.Equal(raw[:4], timelockController.abi.Errors["FailedCall"].ID.Bytes()[:4]) {
		return timelockController.UnpackFailedCallError(raw[4:])
	}
	if bytes.Equal(raw[:4], timelockController.abi.Errors["TimelockInsufficientDelay"].ID.Bytes()[:4]) {
		return timelockController.UnpackTimelockInsufficientDelayError(raw[4:])
	}
	if bytes.Equal(raw[:4], timelockController.abi.Errors["TimelockInvalidOperationLength"].ID.Bytes()[:4]) {
		return timelockController.UnpackTimelockInvalidOperationLengthError(raw[4:])
	}
	if bytes.Equal(raw[:4], timelockController.abi.Errors["TimelockUnauthorizedCaller"].ID.Bytes()[:4]) {
		return timelockController.UnpackTimelockUnauthorizedCallerError(raw[4:])
	}
	if bytes.Equal(raw[:4], timelockController.abi.Errors["TimelockUnexecutedPredecessor"].ID.Bytes()[:4]) {
		return timelockController.UnpackTimelockUnexecutedPredecessorError(raw[4:])
	}
	if bytes.Equal(raw[:4], timelockController.abi.Errors["TimelockUnexpectedOperationState"].ID.Bytes()[:4]) {
		return timelockController.UnpackTimelockUnexpectedOperationStateError(raw[4:])
	}
	return nil, errors.New("Unknown error")
}

// TimelockControllerAccessControlBadConfirmation represents a AccessControlBadConfirmation error raised by the TimelockController contract.
type TimelockControllerAccessControlBadConfirmation struct {
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error AccessControlBadConfirmation()
func TimelockControllerAccessControlBadConfirmationErrorID() common.Hash {
	return common.HexToHash("0x6697b23232a647058342c0724fe7c415cab25915b54e5dbc03f233173d37b41c")
}

// UnpackAccessControlBadConfirmationError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error AccessControlBadConfirmation()
func (timelockController *TimelockController) UnpackAccessControlBadConfirmationError(raw []byte) (*TimelockControllerAccessControlBadConfirmation, error) {
	out := new(TimelockControllerAccessControlBadConfirmation)
	if err := timelockController.abi.UnpackIntoInterface(out, "AccessControlBadConfirmation", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// TimelockControllerAccessControlUnauthorizedAccount represents a AccessControlUnauthorizedAccount error raised by the TimelockController contract.
type TimelockControllerAccessControlUnauthorizedAccount struct {
	Account    common.Address
	NeededRole [32]byte
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error AccessControlUnauthorizedAccount(address account, bytes32 neededRole)
func TimelockControllerAccessControlUnauthorizedAccountErrorID() common.Hash {
	return common.HexToHash("0xe2517d3fbfae6f8515ef5ff1ccedc3933ab0cbbda0b492c06eb54ad10ef03b3e")
}

// UnpackAccessControlUnauthorizedAccountError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error AccessControlUnauthorizedAccount(address account, bytes32 neededRole)
func (timelockController *TimelockController) UnpackAccessControlUnauthorizedAccountError(raw []byte) (*TimelockControllerAccessControlUnauthorizedAccount, error) {
	out := new(TimelockControllerAccessControlUnauthorizedAccount)
	if err := timelockController.abi.UnpackIntoInterface(out, "AccessControlUnauthorizedAccount", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// TimelockControllerFailedCall represents a FailedCall error raised by the TimelockController contract.
type TimelockControllerFailedCall struct {
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error FailedCall()
func TimelockControllerFailedCallErrorID() common.Hash {
	return common.HexToHash("0xd6bda27508c0fb6d8a39b4b122878dab26f731a7d4e4abe711dd3731899052a4")
}

// UnpackFailedCallError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error FailedCall()
func (timelockController *TimelockController) UnpackFailedCallError(raw []byte) (*TimelockControllerFailedCall, error) {
	out := new(TimelockControllerFailedCall)
	if err := timelockController.abi.UnpackIntoInterface(out, "FailedCall", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// TimelockControllerTimelockInsufficientDelay represents a TimelockInsufficientDelay error raised by the TimelockController contract.
type TimelockControllerTimelockInsufficientDelay struct {
	Delay    *big.Int
	MinDelay *big.Int
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error TimelockInsufficientDelay(uint256 delay, uint256 minDelay)
func TimelockControllerTimelockInsufficientDelayErrorID() common.Hash {
	return common.HexToHash("0x543366097fc46a718a4890a59e5216cbbc872f61973a9e2a6666ecccaa1a07ca")
}

// UnpackTimelockInsufficientDelayError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error TimelockInsufficientDelay(uint256 delay, uint256 minDelay)
func (timelockController *TimelockController) UnpackTimelockInsufficientDelayError(raw []byte) (*TimelockControllerTimelockInsufficientDelay, error) {
	out := new(TimelockControllerTimelockInsufficientDelay)
	if err := timelockController.abi.UnpackIntoInterface(out, "TimelockInsufficientDelay", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// TimelockControllerTimelockInvalidOperationLength represents a TimelockInvalidOperationLength error raised by the TimelockController contract.
type TimelockControllerTimelockInvalidOperationLength struct {
	Targets  *big.Int
	Payloads *big.Int
	Values   *big.Int
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error TimelockInvalidOperationLength(uint256 targets, uint256 payloads, uint256 values)
func TimelockControllerTimelockInvalidOperationLengthErrorID() common.Hash {
	return common.HexToHash("0xffb0321166292613ddbe36e2eb9b9b1e8877aa314505f6d35f0f4ae660e8ada3")
}

// UnpackTimelockInvalidOperationLengthError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error TimelockInvalidOperationLength(uint256 targets, uint256 payloads, uint256 values)
func (timelockController *TimelockController) UnpackTimelockInvalidOperationLengthError(raw []byte) (*TimelockControllerTimelockInvalidOperationLength, error) {
	out := new(TimelockControllerTimelockInvalidOperationLength)
	if err := timelockController.abi.UnpackIntoInterface(out, "TimelockInvalidOperationLength", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// TimelockControllerTimelockUnauthorizedCaller represents a TimelockUnauthorizedCaller error raised by the TimelockController contract.
type TimelockControllerTimelockUnauthorizedCaller struct {
	Caller common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error TimelockUnauthorizedCaller(address caller)
func TimelockControllerTimelockUnauthorizedCallerErrorID() common.Hash {
	return common.HexToHash("0xe2850c5900ceb2d1b367e63ffd96510279f191862fece2dde12a1b1bce580ebd")
}

// UnpackTimelockUnauthorizedCallerError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error TimelockUnauthorizedCaller(address caller)
func (timelockController *TimelockController) UnpackTimelockUnauthorizedCallerError(raw []byte) (*TimelockControllerTimelockUnauthorizedCaller, error) {
	out := new(TimelockControllerTimelockUnauthorizedCaller)
	if err := timelockController.abi.UnpackIntoInterface(out, "TimelockUnauthorizedCaller", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// TimelockControllerTimelockUnexecutedPredecessor represents a TimelockUnexecutedPredecessor error raised by the TimelockController contract.
type TimelockControllerTimelockUnexecutedPredecessor struct {
	PredecessorId [32]byte
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error TimelockUnexecutedPredecessor(bytes32 predecessorId)
func TimelockControllerTimelockUnexecutedPredecessorErrorID() common.Hash {
	return common.HexToHash("0x90a9a618cfd84aabd2505bb50bbc6c95924a5d4f10d2bf500768fcbf91f51cab")
}

// UnpackTimelockUnexecutedPredecessorError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error TimelockUnexecutedPredecessor(bytes32 predecessorId)
func (timelockController *TimelockController) UnpackTimelockUnexecutedPredecessorError(raw []byte) (*TimelockControllerTimelockUnexecutedPredecessor, error) {
	out := new(TimelockControllerTimelockUnexecutedPredecessor)
	if err := timelockController.abi.UnpackIntoInterface(out, "TimelockUnexecutedPredecessor", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// TimelockControllerTimelockUnexpectedOperationState represents a TimelockUnexpectedOperationState error raised by the TimelockController contract.
type TimelockControllerTimelockUnexpectedOperationState struct {
	OperationId    [32]byte
	ExpectedStates [32]byte
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error TimelockUnexpectedOperationState(bytes32 operationId, bytes32 expectedStates)
func TimelockControllerTimelockUnexpectedOperationStateErrorID() common.Hash {
	return common.HexToHash("0x5ead8eb51d1c1b7ef2eb1ef3ec2f009cfba25e924d04ccc853f25803ea40b489")
}

// UnpackTimelockUnexpectedOperationStateError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error TimelockUnexpectedOperationState(bytes32 operationId, bytes32 expectedStates)
func (timelockController *TimelockController) UnpackTimelockUnexpectedOperationStateError(raw []byte) (*TimelockControllerTimelockUnexpectedOperationState, error) {
	out := new(TimelockControllerTimelockUnexpectedOperationState)
	if err := timelockController.abi.UnpackIntoInterface(out, "TimelockUnexpectedOperationState", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// VeHUDLMetaData contains all meta data concerning the VeHUDL contract.
var VeHUDLMetaData = bind.MetaData{
	ABI: "[{\"inputs\":[{\"internalType\":\"contractIERC20\",\"name\":\"hudl_\",\"type\":\"address\"},{\"internalType\":\"contractIPoolManager\",\"name\":\"poolManager\",\"type\":\"address\"},{\"internalType\":\"address\",\"name\":\"authority\",\"type\":\"address\"},{\"internalType\":\"uint32\",\"name\":\"lock\",\"type\":\"uint32\"}],\"stateMutability\":\"nonpayable\",\"type\":\"constructor\"},{\"inputs\":[],\"name\":\"CLOCK_MODE\",\"outputs\":[{\"internalType\":\"string\",\"name\":\"\",\"type\":\"string\"}],\"stateMutability\":\"pure\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"owner\",\"type\":\"address\"},{\"internalType\":\"address\",\"name\":\"spender\",\"type\":\"address\"}],\"name\":\"allowance\",\"outputs\":[{\"internalType\":\"uint256\",\"name\":\"\",\"type\":\"uint256\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"\",\"type\":\"address\"},{\"internalType\":\"uint256\",\"name\":\"\",\"type\":\"uint256\"}],\"name\":\"approve\",\"outputs\":[{\"internalType\":\"bool\",\"name\":\"\",\"type\":\"bool\"}],\"stateMutability\":\"pure\",\"type\":\"function\"},{\"inputs\":[],\"name\":\"authority\",\"outputs\":[{\"internalType\":\"address\",\"name\":\"\",\"type\":\"address\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"account\",\"type\":\"address\"}],\"name\":\"balanceOf\",\"outputs\":[{\"internalType\":\"uint256\",\"name\":\"\",\"type\":\"uint256\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"account\",\"type\":\"address\"},{\"internalType\":\"uint32\",\"name\":\"pos\",\"type\":\"uint32\"}],\"name\":\"checkpoints\",\"outputs\":[{\"components\":[{\"internalType\":\"uint48\",\"name\":\"_key\",\"type\":\"uint48\"},{\"internalType\":\"uint208\",\"name\":\"_value\",\"type\":\"uint208\"}],\"internalType\":\"structCheckpoints.Checkpoint208\",\"name\":\"\",\"type\":\"tuple\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[],\"name\":\"clock\",\"outputs\":[{\"internalType\":\"uint48\",\"name\":\"\",\"type\":\"uint48\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[],\"name\":\"decimals\",\"outputs\":[{\"internalType\":\"uint8\",\"name\":\"\",\"type\":\"uint8\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"delegatee\",\"type\":\"address\"}],\"name\":\"delegate\",\"outputs\":[],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"delegatee\",\"type\":\"address\"},{\"internalType\":\"uint256\",\"name\":\"nonce\",\"type\":\"uint256\"},{\"internalType\":\"uint256\",\"name\":\"expiry\",\"type\":\"uint256\"},{\"internalType\":\"uint8\",\"name\":\"v\",\"type\":\"uint8\"},{\"internalType\":\"bytes32\",\"name\":\"r\",\"type\":\"bytes32\"},{\"internalType\":\"bytes32\",\"name\":\"s\",\"type\":\"bytes32\"}],\"name\":\"delegateBySig\",\"outputs\":[],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"account\",\"type\":\"address\"}],\"name\":\"delegates\",\"outputs\":[{\"internalType\":\"address\",\"name\":\"\",\"type\":\"address\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"account\",\"type\":\"address\"},{\"internalType\":\"uint256\",\"name\":\"amount\",\"type\":\"uint256\"}],\"name\":\"deposit\",\"outputs\":[],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[],\"name\":\"eip712Domain\",\"outputs\":[{\"internalType\":\"bytes1\",\"name\":\"fields\",\"type\":\"bytes1\"},{\"internalType\":\"string\",\"name\":\"name\",\"type\":\"string\"},{\"internalType\":\"string\",\"name\":\"version\",\"type\":\"string\"},{\"internalType\":\"uint256\",\"name\":\"chainId\",\"type\":\"uint256\"},{\"internalType\":\"address\",\"name\":\"verifyingContract\",\"type\":\"address\"},{\"internalType\":\"bytes32\",\"name\":\"salt\",\"type\":\"bytes32\"},{\"internalType\":\"uint256[]\",\"name\":\"extensions\",\"type\":\"uint256[]\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"uint256\",\"name\":\"timepoint\",\"type\":\"uint256\"}],\"name\":\"getPastTotalSupply\",\"outputs\":[{\"internalType\":\"uint256\",\"name\":\"\",\"type\":\"uint256\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"account\",\"type\":\"address\"},{\"internalType\":\"uint256\",\"name\":\"timepoint\",\"type\":\"uint256\"}],\"name\":\"getPastVotes\",\"outputs\":[{\"internalType\":\"uint256\",\"name\":\"\",\"type\":\"uint256\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"account\",\"type\":\"address\"}],\"name\":\"getVotes\",\"outputs\":[{\"internalType\":\"uint256\",\"name\":\"\",\"type\":\"uint256\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[],\"name\":\"hudl\",\"outputs\":[{\"internalType\":\"contractIERC20\",\"name\":\"\",\"type\":\"address\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[],\"name\":\"isConsumingScheduledOp\",\"outputs\":[{\"internalType\":\"bytes4\",\"name\":\"\",\"type\":\"bytes4\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[],\"name\":\"name\",\"outputs\":[{\"internalType\":\"string\",\"name\":\"\",\"type\":\"string\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"owner\",\"type\":\"address\"}],\"name\":\"nonces\",\"outputs\":[{\"internalType\":\"uint256\",\"name\":\"\",\"type\":\"uint256\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"account\",\"type\":\"address\"}],\"name\":\"numCheckpoints\",\"outputs\":[{\"internalType\":\"uint32\",\"name\":\"\",\"type\":\"uint32\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[],\"name\":\"pendingRedemptions\",\"outputs\":[{\"internalType\":\"uint256\",\"name\":\"\",\"type\":\"uint256\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[],\"name\":\"redeemLock\",\"outputs\":[{\"internalType\":\"uint32\",\"name\":\"\",\"type\":\"uint32\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"account\",\"type\":\"address\"},{\"internalType\":\"uint256\",\"name\":\"id\",\"type\":\"uint256\"}],\"name\":\"redemption\",\"outputs\":[{\"components\":[{\"internalType\":\"uint128\",\"name\":\"amount\",\"type\":\"uint128\"},{\"internalType\":\"uint64\",\"name\":\"readyAt\",\"type\":\"uint64\"}],\"internalType\":\"structIVeHUDL.Redemption\",\"name\":\"\",\"type\":\"tuple\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"account\",\"type\":\"address\"}],\"name\":\"redemptionCount\",\"outputs\":[{\"internalType\":\"uint256\",\"name\":\"\",\"type\":\"uint256\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"uint256\",\"name\":\"amount\",\"type\":\"uint256\"}],\"name\":\"requestRedeem\",\"outputs\":[{\"internalType\":\"uint256\",\"name\":\"id\",\"type\":\"uint256\"}],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"newAuthority\",\"type\":\"address\"}],\"name\":\"setAuthority\",\"outputs\":[],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"uint32\",\"name\":\"lock\",\"type\":\"uint32\"}],\"name\":\"setRedeemLock\",\"outputs\":[],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[],\"name\":\"symbol\",\"outputs\":[{\"internalType\":\"string\",\"name\":\"\",\"type\":\"string\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[],\"name\":\"totalSupply\",\"outputs\":[{\"internalType\":\"uint256\",\"name\":\"\",\"type\":\"uint256\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"to\",\"type\":\"address\"},{\"internalType\":\"uint256\",\"name\":\"value\",\"type\":\"uint256\"}],\"name\":\"transfer\",\"outputs\":[{\"internalType\":\"bool\",\"name\":\"\",\"type\":\"bool\"}],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"from\",\"type\":\"address\"},{\"internalType\":\"address\",\"name\":\"to\",\"type\":\"address\"},{\"internalType\":\"uint256\",\"name\":\"value\",\"type\":\"uint256\"}],\"name\":\"transferFrom\",\"outputs\":[{\"internalType\":\"bool\",\"name\":\"\",\"type\":\"bool\"}],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"uint256\",\"name\":\"id\",\"type\":\"uint256\"}],\"name\":\"withdraw\",\"outputs\":[],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":true,\"internalType\":\"address\",\"name\":\"owner\",\"type\":\"address\"},{\"indexed\":true,\"internalType\":\"address\",\"name\":\"spender\",\"type\":\"address\"},{\"indexed\":false,\"internalType\":\"uint256\",\"name\":\"value\",\"type\":\"uint256\"}],\"name\":\"Approval\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":false,\"internalType\":\"address\",\"name\":\"authority\",\"type\":\"address\"}],\"name\":\"AuthorityUpdated\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":true,\"internalType\":\"address\",\"name\":\"delegator\",\"type\":\"address\"},{\"indexed\":true,\"internalType\":\"address\",\"name\":\"fromDelegate\",\"type\":\"address\"},{\"indexed\":true,\"internalType\":\"address\",\"name\":\"toDelegate\",\"type\":\"address\"}],\"name\":\"DelegateChanged\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":true,\"internalType\":\"address\",\"name\":\"delegate\",\"type\":\"address\"},{\"indexed\":false,\"internalType\":\"uint256\",\"name\":\"previousVotes\",\"type\":\"uint256\"},{\"indexed\":false,\"internalType\":\"uint256\",\"name\":\"newVotes\",\"type\":\"uint256\"}],\"name\":\"DelegateVotesChanged\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":true,\"internalType\":\"address\",\"name\":\"pool\",\"type\":\"address\"},{\"indexed\":true,\"internalType\":\"address\",\"name\":\"account\",\"type\":\"address\"},{\"indexed\":false,\"internalType\":\"uint256\",\"name\":\"amount\",\"type\":\"uint256\"}],\"name\":\"Deposited\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[],\"name\":\"EIP712DomainChanged\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":false,\"internalType\":\"uint32\",\"name\":\"lock\",\"type\":\"uint32\"}],\"name\":\"RedeemLockSet\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":true,\"internalType\":\"address\",\"name\":\"account\",\"type\":\"address\"},{\"indexed\":true,\"internalType\":\"uint256\",\"name\":\"id\",\"type\":\"uint256\"},{\"indexed\":false,\"internalType\":\"uint256\",\"name\":\"amount\",\"type\":\"uint256\"},{\"indexed\":false,\"internalType\":\"uint64\",\"name\":\"readyAt\",\"type\":\"uint64\"}],\"name\":\"RedeemRequested\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":true,\"internalType\":\"address\",\"name\":\"from\",\"type\":\"address\"},{\"indexed\":true,\"internalType\":\"address\",\"name\":\"to\",\"type\":\"address\"},{\"indexed\":false,\"internalType\":\"uint256\",\"name\":\"value\",\"type\":\"uint256\"}],\"name\":\"Transfer\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":true,\"internalType\":\"address\",\"name\":\"account\",\"type\":\"address\"},{\"indexed\":true,\"internalType\":\"uint256\",\"name\":\"id\",\"type\":\"uint256\"},{\"indexed\":false,\"internalType\":\"uint256\",\"name\":\"amount\",\"type\":\"uint256\"}],\"name\":\"Withdrawn\",\"type\":\"event\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"authority\",\"type\":\"address\"}],\"name\":\"AccessManagedInvalidAuthority\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"caller\",\"type\":\"address\"},{\"internalType\":\"uint32\",\"name\":\"delay\",\"type\":\"uint32\"}],\"name\":\"AccessManagedRequiredDelay\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"caller\",\"type\":\"address\"}],\"name\":\"AccessManagedUnauthorized\",\"type\":\"error\"},{\"inputs\":[],\"name\":\"CheckpointUnorderedInsertion\",\"type\":\"error\"},{\"inputs\":[],\"name\":\"ECDSAInvalidSignature\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"uint256\",\"name\":\"length\",\"type\":\"uint256\"}],\"name\":\"ECDSAInvalidSignatureLength\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"bytes32\",\"name\":\"s\",\"type\":\"bytes32\"}],\"name\":\"ECDSAInvalidSignatureS\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"uint256\",\"name\":\"increasedSupply\",\"type\":\"uint256\"},{\"internalType\":\"uint256\",\"name\":\"cap\",\"type\":\"uint256\"}],\"name\":\"ERC20ExceededSafeSupply\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"spender\",\"type\":\"address\"},{\"internalType\":\"uint256\",\"name\":\"allowance\",\"type\":\"uint256\"},{\"internalType\":\"uint256\",\"name\":\"needed\",\"type\":\"uint256\"}],\"name\":\"ERC20InsufficientAllowance\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"sender\",\"type\":\"address\"},{\"internalType\":\"uint256\",\"name\":\"balance\",\"type\":\"uint256\"},{\"internalType\":\"uint256\",\"name\":\"needed\",\"type\":\"uint256\"}],\"name\":\"ERC20InsufficientBalance\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"approver\",\"type\":\"address\"}],\"name\":\"ERC20InvalidApprover\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"receiver\",\"type\":\"address\"}],\"name\":\"ERC20InvalidReceiver\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"sender\",\"type\":\"address\"}],\"name\":\"ERC20InvalidSender\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"spender\",\"type\":\"address\"}],\"name\":\"ERC20InvalidSpender\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"uint256\",\"name\":\"timepoint\",\"type\":\"uint256\"},{\"internalType\":\"uint48\",\"name\":\"clock\",\"type\":\"uint48\"}],\"name\":\"ERC5805FutureLookup\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"account\",\"type\":\"address\"},{\"internalType\":\"uint256\",\"name\":\"currentNonce\",\"type\":\"uint256\"}],\"name\":\"InvalidAccountNonce\",\"type\":\"error\"},{\"inputs\":[],\"name\":\"InvalidShortString\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"uint8\",\"name\":\"bits\",\"type\":\"uint8\"},{\"internalType\":\"uint256\",\"name\":\"value\",\"type\":\"uint256\"}],\"name\":\"SafeCastOverflowedUintDowncast\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"token\",\"type\":\"address\"}],\"name\":\"SafeERC20FailedOperation\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"string\",\"name\":\"str\",\"type\":\"string\"}],\"name\":\"StringTooLong\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"uint32\",\"name\":\"lock\",\"type\":\"uint32\"},{\"internalType\":\"uint32\",\"name\":\"most\",\"type\":\"uint32\"}],\"name\":\"VeHUDL_LockTooLong\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"account\",\"type\":\"address\"},{\"internalType\":\"uint256\",\"name\":\"id\",\"type\":\"uint256\"}],\"name\":\"VeHUDL_NoRedemption\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"caller\",\"type\":\"address\"}],\"name\":\"VeHUDL_NotPool\",\"type\":\"error\"},{\"inputs\":[],\"name\":\"VeHUDL_NotTransferable\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"account\",\"type\":\"address\"}],\"name\":\"VeHUDL_NothingToRedeem\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"uint64\",\"name\":\"now_\",\"type\":\"uint64\"},{\"internalType\":\"uint64\",\"name\":\"readyAt\",\"type\":\"uint64\"}],\"name\":\"VeHUDL_StillLocked\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"uint256\",\"name\":\"expiry\",\"type\":\"uint256\"}],\"name\":\"VotesExpiredSignature\",\"type\":\"error\"}]",
	ID:  "a69703efe9c319f0db9b0f7a05a15c3933",
}

// VeHUDL is an auto generated Go binding around an Ethereum contract.
type VeHUDL struct {
	abi abi.ABI
}

// GetABI returns the ABI associated with this contract binding.
func (c *VeHUDL) GetABI() abi.ABI {
	return c.abi
}

// NewVeHUDL creates a new instance of VeHUDL.
func NewVeHUDL() *VeHUDL {
	parsed, err := VeHUDLMetaData.ParseABI()
	if err != nil {
		panic(errors.New("invalid ABI: " + err.Error()))
	}
	return &VeHUDL{abi: *parsed}
}

// Instance creates a wrapper for a deployed contract instance at the given address.
// Use this to create the instance object passed to abigen v2 library functions Call, Transact, etc.
func (c *VeHUDL) Instance(backend bind.ContractBackend, addr common.Address) *bind.BoundContract {
	return bind.NewBoundContract(addr, c.abi, backend, backend, backend)
}

// PackConstructor is the Go binding used to pack the parameters required for
// contract deployment.
//
// Solidity: constructor(address hudl_, address poolManager, address authority, uint32 lock) returns()
func (veHUDL *VeHUDL) PackConstructor(hudl_ common.Address, poolManager common.Address, authority common.Address, lock uint32) []byte {
	enc, err := veHUDL.abi.Pack("", hudl_, poolManager, authority, lock)
	if err != nil {
		panic(err)
	}
	return enc
}

// PackCLOCKMODE is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x4bf5d7e9.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function CLOCK_MODE() pure returns(string)
func (veHUDL *VeHUDL) PackCLOCKMODE() []byte {
	enc, err := veHUDL.abi.Pack("CLOCK_MODE")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackCLOCKMODE is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x4bf5d7e9.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function CLOCK_MODE() pure returns(string)
func (veHUDL *VeHUDL) TryPackCLOCKMODE() ([]byte, error) {
	return veHUDL.abi.Pack("CLOCK_MODE")
}

// UnpackCLOCKMODE is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x4bf5d7e9.
//
// Solidity: function CLOCK_MODE() pure returns(string)
func (veHUDL *VeHUDL) UnpackCLOCKMODE(data []byte) (string, error) {
	out, err := veHUDL.abi.Unpack("CLOCK_MODE", data)
	if err != nil {
		return *new(string), err
	}
	out0 := *abi.ConvertType(out[0], new(string)).(*string)
	return out0, nil
}

// PackAllowance is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xdd62ed3e.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function allowance(address owner, address spender) view returns(uint256)
func (veHUDL *VeHUDL) PackAllowance(owner common.Address, spender common.Address) []byte {
	enc, err := veHUDL.abi.Pack("allowance", owner, spender)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackAllowance is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xdd62ed3e.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function allowance(address owner, address spender) view returns(uint256)
func (veHUDL *VeHUDL) TryPackAllowance(owner common.Address, spender common.Address) ([]byte, error) {
	return veHUDL.abi.Pack("allowance", owner, spender)
}

// UnpackAllowance is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xdd62ed3e.
//
// Solidity: function allowance(address owner, address spender) view returns(uint256)
func (veHUDL *VeHUDL) UnpackAllowance(data []byte) (*big.Int, error) {
	out, err := veHUDL.abi.Unpack("allowance", data)
	if err != nil {
		return new(big.Int), err
	}
	out0 := abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	return out0, nil
}

// PackApprove is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x095ea7b3.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function approve(address , uint256 ) pure returns(bool)
func (veHUDL *VeHUDL) PackApprove(arg0 common.Address, arg1 *big.Int) []byte {
	enc, err := veHUDL.abi.Pack("approve", arg0, arg1)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackApprove is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x095ea7b3.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function approve(address , uint256 ) pure returns(bool)
func (veHUDL *VeHUDL) TryPackApprove(arg0 common.Address, arg1 *big.Int) ([]byte, error) {
	return veHUDL.abi.Pack("approve", arg0, arg1)
}

// UnpackApprove is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x095ea7b3.
//
// Solidity: function approve(address , uint256 ) pure returns(bool)
func (veHUDL *VeHUDL) UnpackApprove(data []byte) (bool, error) {
	out, err := veHUDL.abi.Unpack("approve", data)
	if err != nil {
		return *new(bool), err
	}
	out0 := *abi.ConvertType(out[0], new(bool)).(*bool)
	return out0, nil
}

// PackAuthority is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xbf7e214f.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function authority() view returns(address)
func (veHUDL *VeHUDL) PackAuthority() []byte {
	enc, err := veHUDL.abi.Pack("authority")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackAuthority is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xbf7e214f.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function authority() view returns(address)
func (veHUDL *VeHUDL) TryPackAuthority() ([]byte, error) {
	return veHUDL.abi.Pack("authority")
}

// UnpackAuthority is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xbf7e214f.
//
// Solidity: function authority() view returns(address)
func (veHUDL *VeHUDL) UnpackAuthority(data []byte) (common.Address, error) {
	out, err := veHUDL.abi.Unpack("authority", data)
	if err != nil {
		return *new(common.Address), err
	}
	out0 := *abi.ConvertType(out[0], new(common.Address)).(*common.Address)
	return out0, nil
}

// PackBalanceOf is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x70a08231.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function balanceOf(address account) view returns(uint256)
func (veHUDL *VeHUDL) PackBalanceOf(account common.Address) []byte {
	enc, err := veHUDL.abi.Pack("balanceOf", account)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackBalanceOf is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x70a08231.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function balanceOf(address account) view returns(uint256)
func (veHUDL *VeHUDL) TryPackBalanceOf(account common.Address) ([]byte, error) {
	return veHUDL.abi.Pack("balanceOf", account)
}

// UnpackBalanceOf is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x70a08231.
//
// Solidity: function balanceOf(address account) view returns(uint256)
func (veHUDL *VeHUDL) UnpackBalanceOf(data []byte) (*big.Int, error) {
	out, err := veHUDL.abi.Unpack("balanceOf", data)
	if err != nil {
		return new(big.Int), err
	}
	out0 := abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	return out0, nil
}

// PackCheckpoints is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xf1127ed8.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function checkpoints(address account, uint32 pos) view returns((uint48,uint208))
func (veHUDL *VeHUDL) PackCheckpoints(account common.Address, pos uint32) []byte {
	enc, err := veHUDL.abi.Pack("checkpoints", account, pos)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackCheckpoints is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xf1127ed8.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function checkpoints(address account, uint32 pos) view returns((uint48,uint208))
func (veHUDL *VeHUDL) TryPackCheckpoints(account common.Address, pos uint32) ([]byte, error) {
	return veHUDL.abi.Pack("checkpoints", account, pos)
}

// UnpackCheckpoints is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xf1127ed8.
//
// Solidity: function checkpoints(address account, uint32 pos) view returns((uint48,uint208))
func (veHUDL *VeHUDL) UnpackCheckpoints(data []byte) (CheckpointsCheckpoint208, error) {
	out, err := veHUDL.abi.Unpack("checkpoints", data)
	if err != nil {
		return *new(CheckpointsCheckpoint208), err
	}
	out0 := *abi.ConvertType(out[0], new(CheckpointsCheckpoint208)).(*CheckpointsCheckpoint208)
	return out0, nil
}

// PackClock is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x91ddadf4.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function clock() view returns(uint48)
func (veHUDL *VeHUDL) PackClock() []byte {
	enc, err := veHUDL.abi.Pack("clock")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackClock is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x91ddadf4.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function clock() view returns(uint48)
func (veHUDL *VeHUDL) TryPackClock() ([]byte, error) {
	return veHUDL.abi.Pack("clock")
}

// UnpackClock is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x91ddadf4.
//
// Solidity: function clock() view returns(uint48)
func (veHUDL *VeHUDL) UnpackClock(data []byte) (*big.Int, error) {
	out, err := veHUDL.abi.Unpack("clock", data)
	if err != nil {
		return new(big.Int), err
	}
	out0 := abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	return out0, nil
}

// PackDecimals is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x313ce567.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function decimals() view returns(uint8)
func (veHUDL *VeHUDL) PackDecimals() []byte {
	enc, err := veHUDL.abi.Pack("decimals")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackDecimals is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x313ce567.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function decimals() view returns(uint8)
func (veHUDL *VeHUDL) TryPackDecimals() ([]byte, error) {
	return veHUDL.abi.Pack("decimals")
}

// UnpackDecimals is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x313ce567.
//
// Solidity: function decimals() view returns(uint8)
func (veHUDL *VeHUDL) UnpackDecimals(data []byte) (uint8, error) {
	out, err := veHUDL.abi.Unpack("decimals", data)
	if err != nil {
		return *new(uint8), err
	}
	out0 := *abi.ConvertType(out[0], new(uint8)).(*uint8)
	return out0, nil
}

// PackDelegate is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x5c19a95c.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function delegate(address delegatee) returns()
func (veHUDL *VeHUDL) PackDelegate(delegatee common.Address) []byte {
	enc, err := veHUDL.abi.Pack("delegate", delegatee)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackDelegate is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x5c19a95c.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function delegate(address delegatee) returns()
func (veHUDL *VeHUDL) TryPackDelegate(delegatee common.Address) ([]byte, error) {
	return veHUDL.abi.Pack("delegate", delegatee)
}

// PackDelegateBySig is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xc3cda520.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function delegateBySig(address delegatee, uint256 nonce, uint256 expiry, uint8 v, bytes32 r, bytes32 s) returns()
func (veHUDL *VeHUDL) PackDelegateBySig(delegatee common.Address, nonce *big.Int, expiry *big.Int, v uint8, r [32]byte, s [32]byte) []byte {
	enc, err := veHUDL.abi.Pack("delegateBySig", delegatee, nonce, expiry, v, r, s)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackDelegateBySig is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xc3cda520.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function delegateBySig(address delegatee, uint256 nonce, uint256 expiry, uint8 v, bytes32 r, bytes32 s) returns()
func (veHUDL *VeHUDL) TryPackDelegateBySig(delegatee common.Address, nonce *big.Int, expiry *big.Int, v uint8, r [32]byte, s [32]byte) ([]byte, error) {
	return veHUDL.abi.Pack("delegateBySig", delegatee, nonce, expiry, v, r, s)
}

// PackDelegates is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x587cde1e.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function delegates(address account) view returns(address)
func (veHUDL *VeHUDL) PackDelegates(account common.Address) []byte {
	enc, err := veHUDL.abi.Pack("delegates", account)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackDelegates is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x587cde1e.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function delegates(address account) view returns(address)
func (veHUDL *VeHUDL) TryPackDelegates(account common.Address) ([]byte, error) {
	return veHUDL.abi.Pack("delegates", account)
}

// UnpackDelegates is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x587cde1e.
//
// Solidity: function delegates(address account) view returns(address)
func (veHUDL *VeHUDL) UnpackDelegates(data []byte) (common.Address, error) {
	out, err := veHUDL.abi.Unpack("delegates", data)
	if err != nil {
		return *new(common.Address), err
	}
	out0 := *abi.ConvertType(out[0], new(common.Address)).(*common.Address)
	return out0, nil
}

// PackDeposit is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x47e7ef24.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function deposit(address account, uint256 amount) returns()
func (veHUDL *VeHUDL) PackDeposit(account common.Address, amount *big.Int) []byte {
	enc, err := veHUDL.abi.Pack("deposit", account, amount)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackDeposit is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x47e7ef24.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function deposit(address account, uint256 amount) returns()
func (veHUDL *VeHUDL) TryPackDeposit(account common.Address, amount *big.Int) ([]byte, error) {
	return veHUDL.abi.Pack("deposit", account, amount)
}

// PackEip712Domain is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x84b0196e.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function eip712Domain() view returns(bytes1 fields, string name, string version, uint256 chainId, address verifyingContract, bytes32 salt, uint256[] extensions)
func (veHUDL *VeHUDL) PackEip712Domain() []byte {
	enc, err := veHUDL.abi.Pack("eip712Domain")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackEip712Domain is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x84b0196e.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function eip712Domain() view returns(bytes1 fields, string name, string version, uint256 chainId, address verifyingContract, bytes32 salt, uint256[] extensions)
func (veHUDL *VeHUDL) TryPackEip712Domain() ([]byte, error) {
	return veHUDL.abi.Pack("eip712Domain")
}

// VeHUDLEip712DomainOutput serves as a container for the return parameters of contract
// method Eip712Domain.
type VeHUDLEip712DomainOutput struct {
	Fields            [1]byte
	Name              string
	Version           string
	ChainId           *big.Int
	VerifyingContract common.Address
	Salt              [32]byte
	Extensions        []*big.Int
}

// UnpackEip712Domain is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x84b0196e.
//
// Solidity: function eip712Domain() view returns(bytes1 fields, string name, string version, uint256 chainId, address verifyingContract, bytes32 salt, uint256[] extensions)
func (veHUDL *VeHUDL) UnpackEip712Domain(data []byte) (VeHUDLEip712DomainOutput, error) {
	out, err := veHUDL.abi.Unpack("eip712Domain", data)
	outstruct := new(VeHUDLEip712DomainOutput)
	if err != nil {
		return *outstruct, err
	}
	outstruct.Fields = *abi.ConvertType(out[0], new([1]byte)).(*[1]byte)
	outstruct.Name = *abi.ConvertType(out[1], new(string)).(*string)
	outstruct.Version = *abi.ConvertType(out[2], new(string)).(*string)
	outstruct.ChainId = abi.ConvertType(out[3], new(big.Int)).(*big.Int)
	outstruct.VerifyingContract = *abi.ConvertType(out[4], new(common.Address)).(*common.Address)
	outstruct.Salt = *abi.ConvertType(out[5], new([32]byte)).(*[32]byte)
	outstruct.Extensions = *abi.ConvertType(out[6], new([]*big.Int)).(*[]*big.Int)
	return *outstruct, nil
}

// PackGetPastTotalSupply is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x8e539e8c.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function getPastTotalSupply(uint256 timepoint) view returns(uint256)
func (veHUDL *VeHUDL) PackGetPastTotalSupply(timepoint *big.Int) []byte {
	enc, err := veHUDL.abi.Pack("getPastTotalSupply", timepoint)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackGetPastTotalSupply is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x8e539e8c.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function getPastTotalSupply(uint256 timepoint) view returns(uint256)
func (veHUDL *VeHUDL) TryPackGetPastTotalSupply(timepoint *big.Int) ([]byte, error) {
	return veHUDL.abi.Pack("getPastTotalSupply", timepoint)
}

// UnpackGetPastTotalSupply is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x8e539e8c.
//
// Solidity: function getPastTotalSupply(uint256 timepoint) view returns(uint256)
func (veHUDL *VeHUDL) UnpackGetPastTotalSupply(data []byte) (*big.Int, error) {
	out, err := veHUDL.abi.Unpack("getPastTotalSupply", data)
	if err != nil {
		return new(big.Int), err
	}
	out0 := abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	return out0, nil
}

// PackGetPastVotes is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x3a46b1a8.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function getPastVotes(address account, uint256 timepoint) view returns(uint256)
func (veHUDL *VeHUDL) PackGetPastVotes(account common.Address, timepoint *big.Int) []byte {
	enc, err := veHUDL.abi.Pack("getPastVotes", account, timepoint)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackGetPastVotes is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x3a46b1a8.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function getPastVotes(address account, uint256 timepoint) view returns(uint256)
func (veHUDL *VeHUDL) TryPackGetPastVotes(account common.Address, timepoint *big.Int) ([]byte, error) {
	return veHUDL.abi.Pack("getPastVotes", account, timepoint)
}

// UnpackGetPastVotes is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x3a46b1a8.
//
// Solidity: function getPastVotes(address account, uint256 timepoint) view returns(uint256)
func (veHUDL *VeHUDL) UnpackGetPastVotes(data []byte) (*big.Int, error) {
	out, err := veHUDL.abi.Unpack("getPastVotes", data)
	if err != nil {
		return new(big.Int), err
	}
	out0 := abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	return out0, nil
}

// PackGetVotes is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x9ab24eb0.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function getVotes(address account) view returns(uint256)
func (veHUDL *VeHUDL) PackGetVotes(account common.Address) []byte {
	enc, err := veHUDL.abi.Pack("getVotes", account)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackGetVotes is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x9ab24eb0.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function getVotes(address account) view returns(uint256)
func (veHUDL *VeHUDL) TryPackGetVotes(account common.Address) ([]byte, error) {
	return veHUDL.abi.Pack("getVotes", account)
}

// UnpackGetVotes is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x9ab24eb0.
//
// Solidity: function getVotes(address account) view returns(uint256)
func (veHUDL *VeHUDL) UnpackGetVotes(data []byte) (*big.Int, error) {
	out, err := veHUDL.abi.Unpack("getVotes", data)
	if err != nil {
		return new(big.Int), err
	}
	out0 := abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	return out0, nil
}

// PackHudl is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x963f9509.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function hudl() view returns(address)
func (veHUDL *VeHUDL) PackHudl() []byte {
	enc, err := veHUDL.abi.Pack("hudl")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackHudl is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x963f9509.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function hudl() view returns(address)
func (veHUDL *VeHUDL) TryPackHudl() ([]byte, error) {
	return veHUDL.abi.Pack("hudl")
}

// UnpackHudl is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x963f9509.
//
// Solidity: function hudl() view returns(address)
func (veHUDL *VeHUDL) UnpackHudl(data []byte) (common.Address, error) {
	out, err := veHUDL.abi.Unpack("hudl", data)
	if err != nil {
		return *new(common.Address), err
	}
	out0 := *abi.ConvertType(out[0], new(common.Address)).(*common.Address)
	return out0, nil
}

// PackIsConsumingScheduledOp is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x8fb36037.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function isConsumingScheduledOp() view returns(bytes4)
func (veHUDL *VeHUDL) PackIsConsumingScheduledOp() []byte {
	enc, err := veHUDL.abi.Pack("isConsumingScheduledOp")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackIsConsumingScheduledOp is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x8fb36037.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function isConsumingScheduledOp() view returns(bytes4)
func (veHUDL *VeHUDL) TryPackIsConsumingScheduledOp() ([]byte, error) {
	return veHUDL.abi.Pack("isConsumingScheduledOp")
}

// UnpackIsConsumingScheduledOp is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x8fb36037.
//
// Solidity: function isConsumingScheduledOp() view returns(bytes4)
func (veHUDL *VeHUDL) UnpackIsConsumingScheduledOp(data []byte) ([4]byte, error) {
	out, err := veHUDL.abi.Unpack("isConsumingScheduledOp", data)
	if err != nil {
		return *new([4]byte), err
	}
	out0 := *abi.ConvertType(out[0], new([4]byte)).(*[4]byte)
	return out0, nil
}

// PackName is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x06fdde03.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function name() view returns(string)
func (veHUDL *VeHUDL) PackName() []byte {
	enc, err := veHUDL.abi.Pack("name")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackName is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x06fdde03.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function name() view returns(string)
func (veHUDL *VeHUDL) TryPackName() ([]byte, error) {
	return veHUDL.abi.Pack("name")
}

// UnpackName is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x06fdde03.
//
// Solidity: function name() view returns(string)
func (veHUDL *VeHUDL) UnpackName(data []byte) (string, error) {
	out, err := veHUDL.abi.Unpack("name", data)
	if err != nil {
		return *new(string), err
	}
	out0 := *abi.ConvertType(out[0], new(string)).(*string)
	return out0, nil
}

// PackNonces is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x7ecebe00.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function nonces(address owner) view returns(uint256)
func (veHUDL *VeHUDL) PackNonces(owner common.Address) []byte {
	enc, err := veHUDL.abi.Pack("nonces", owner)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackNonces is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x7ecebe00.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function nonces(address owner) view returns(uint256)
func (veHUDL *VeHUDL) TryPackNonces(owner common.Address) ([]byte, error) {
	return veHUDL.abi.Pack("nonces", owner)
}

// UnpackNonces is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x7ecebe00.
//
// Solidity: function nonces(address owner) view returns(uint256)
func (veHUDL *VeHUDL) UnpackNonces(data []byte) (*big.Int, error) {
	out, err := veHUDL.abi.Unpack("nonces", data)
	if err != nil {
		return new(big.Int), err
	}
	out0 := abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	return out0, nil
}

// PackNumCheckpoints is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x6fcfff45.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function numCheckpoints(address account) view returns(uint32)
func (veHUDL *VeHUDL) PackNumCheckpoints(account common.Address) []byte {
	enc, err := veHUDL.abi.Pack("numCheckpoints", account)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackNumCheckpoints is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x6fcfff45.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function numCheckpoints(address account) view returns(uint32)
func (veHUDL *VeHUDL) TryPackNumCheckpoints(account common.Address) ([]byte, error) {
	return veHUDL.abi.Pack("numCheckpoints", account)
}

// UnpackNumCheckpoints is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x6fcfff45.
//
// Solidity: function numCheckpoints(address account) view returns(uint32)
func (veHUDL *VeHUDL) UnpackNumCheckpoints(data []byte) (uint32, error) {
	out, err := veHUDL.abi.Unpack("numCheckpoints", data)
	if err != nil {
		return *new(uint32), err
	}
	out0 := *abi.ConvertType(out[0], new(uint32)).(*uint32)
	return out0, nil
}

// PackPendingRedemptions is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x3ab15478.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function pendingRedemptions() view returns(uint256)
func (veHUDL *VeHUDL) PackPendingRedemptions() []byte {
	enc, err := veHUDL.abi.Pack("pendingRedemptions")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackPendingRedemptions is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x3ab15478.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function pendingRedemptions() view returns(uint256)
func (veHUDL *VeHUDL) TryPackPendingRedemptions() ([]byte, error) {
	return veHUDL.abi.Pack("pendingRedemptions")
}

// UnpackPendingRedemptions is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x3ab15478.
//
// Solidity: function pendingRedemptions() view returns(uint256)
func (veHUDL *VeHUDL) UnpackPendingRedemptions(data []byte) (*big.Int, error) {
	out, err := veHUDL.abi.Unpack("pendingRedemptions", data)
	if err != nil {
		return new(big.Int), err
	}
	out0 := abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	return out0, nil
}

// PackRedeemLock is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x60b330ea.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function redeemLock() view returns(uint32)
func (veHUDL *VeHUDL) PackRedeemLock() []byte {
	enc, err := veHUDL.abi.Pack("redeemLock")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackRedeemLock is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x60b330ea.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function redeemLock() view returns(uint32)
func (veHUDL *VeHUDL) TryPackRedeemLock() ([]byte, error) {
	return veHUDL.abi.Pack("redeemLock")
}

// UnpackRedeemLock is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x60b330ea.
//
// Solidity: function redeemLock() view returns(uint32)
func (veHUDL *VeHUDL) UnpackRedeemLock(data []byte) (uint32, error) {
	out, err := veHUDL.abi.Unpack("redeemLock", data)
	if err != nil {
		return *new(uint32), err
	}
	out0 := *abi.ConvertType(out[0], new(uint32)).(*uint32)
	return out0, nil
}

// PackRedemption is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x616bcd21.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function redemption(address account, uint256 id) view returns((uint128,uint64))
func (veHUDL *VeHUDL) PackRedemption(account common.Address, id *big.Int) []byte {
	enc, err := veHUDL.abi.Pack("redemption", account, id)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackRedemption is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x616bcd21.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function redemption(address account, uint256 id) view returns((uint128,uint64))
func (veHUDL *VeHUDL) TryPackRedemption(account common.Address, id *big.Int) ([]byte, error) {
	return veHUDL.abi.Pack("redemption", account, id)
}

// UnpackRedemption is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x616bcd21.
//
// Solidity: function redemption(address account, uint256 id) view returns((uint128,uint64))
func (veHUDL *VeHUDL) UnpackRedemption(data []byte) (IVeHUDLRedemption, error) {
	out, err := veHUDL.abi.Unpack("redemption", data)
	if err != nil {
		return *new(IVeHUDLRedemption), err
	}
	out0 := *abi.ConvertType(out[0], new(IVeHUDLRedemption)).(*IVeHUDLRedemption)
	return out0, nil
}

// PackRedemptionCount is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xf6b97131.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function redemptionCount(address account) view returns(uint256)
func (veHUDL *VeHUDL) PackRedemptionCount(account common.Address) []byte {
	enc, err := veHUDL.abi.Pack("redemptionCount", account)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackRedemptionCount is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xf6b97131.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function redemptionCount(address account) view returns(uint256)
func (veHUDL *VeHUDL) TryPackRedemptionCount(account common.Address) ([]byte, error) {
	return veHUDL.abi.Pack("redemptionCount", account)
}

// UnpackRedemptionCount is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xf6b97131.
//
// Solidity: function redemptionCount(address account) view returns(uint256)
func (veHUDL *VeHUDL) UnpackRedemptionCount(data []byte) (*big.Int, error) {
	out, err := veHUDL.abi.Unpack("redemptionCount", data)
	if err != nil {
		return new(big.Int), err
	}
	out0 := abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	return out0, nil
}

// PackRequestRedeem is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xaa2f892d.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function requestRedeem(uint256 amount) returns(uint256 id)
func (veHUDL *VeHUDL) PackRequestRedeem(amount *big.Int) []byte {
	enc, err := veHUDL.abi.Pack("requestRedeem", amount)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackRequestRedeem is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xaa2f892d.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function requestRedeem(uint256 amount) returns(uint256 id)
func (veHUDL *VeHUDL) TryPackRequestRedeem(amount *big.Int) ([]byte, error) {
	return veHUDL.abi.Pack("requestRedeem", amount)
}

// UnpackRequestRedeem is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xaa2f892d.
//
// Solidity: function requestRedeem(uint256 amount) returns(uint256 id)
func (veHUDL *VeHUDL) UnpackRequestRedeem(data []byte) (*big.Int, error) {
	out, err := veHUDL.abi.Unpack("requestRedeem", data)
	if err != nil {
		return new(big.Int), err
	}
	out0 := abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	return out0, nil
}

// PackSetAuthority is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x7a9e5e4b.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function setAuthority(address newAuthority) returns()
func (veHUDL *VeHUDL) PackSetAuthority(newAuthority common.Address) []byte {
	enc, err := veHUDL.abi.Pack("setAuthority", newAuthority)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackSetAuthority is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x7a9e5e4b.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function setAuthority(address newAuthority) returns()
func (veHUDL *VeHUDL) TryPackSetAuthority(newAuthority common.Address) ([]byte, error) {
	return veHUDL.abi.Pack("setAuthority", newAuthority)
}

// PackSetRedeemLock is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xaf1bfc73.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function setRedeemLock(uint32 lock) returns()
func (veHUDL *VeHUDL) PackSetRedeemLock(lock uint32) []byte {
	enc, err := veHUDL.abi.Pack("setRedeemLock", lock)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackSetRedeemLock is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xaf1bfc73.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function setRedeemLock(uint32 lock) returns()
func (veHUDL *VeHUDL) TryPackSetRedeemLock(lock uint32) ([]byte, error) {
	return veHUDL.abi.Pack("setRedeemLock", lock)
}

// PackSymbol is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x95d89b41.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function symbol() view returns(string)
func (veHUDL *VeHUDL) PackSymbol() []byte {
	enc, err := veHUDL.abi.Pack("symbol")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackSymbol is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x95d89b41.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function symbol() view returns(string)
func (veHUDL *VeHUDL) TryPackSymbol() ([]byte, error) {
	return veHUDL.abi.Pack("symbol")
}

// UnpackSymbol is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x95d89b41.
//
// Solidity: function symbol() view returns(string)
func (veHUDL *VeHUDL) UnpackSymbol(data []byte) (string, error) {
	out, err := veHUDL.abi.Unpack("symbol", data)
	if err != nil {
		return *new(string), err
	}
	out0 := *abi.ConvertType(out[0], new(string)).(*string)
	return out0, nil
}

// PackTotalSupply is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x18160ddd.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function totalSupply() view returns(uint256)
func (veHUDL *VeHUDL) PackTotalSupply() []byte {
	enc, err := veHUDL.abi.Pack("totalSupply")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackTotalSupply is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x18160ddd.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function totalSupply() view returns(uint256)
func (veHUDL *VeHUDL) TryPackTotalSupply() ([]byte, error) {
	return veHUDL.abi.Pack("totalSupply")
}

// UnpackTotalSupply is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x18160ddd.
//
// Solidity: function totalSupply() view returns(uint256)
func (veHUDL *VeHUDL) UnpackTotalSupply(data []byte) (*big.Int, error) {
	out, err := veHUDL.abi.Unpack("totalSupply", data)
	if err != nil {
		return new(big.Int), err
	}
	out0 := abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	return out0, nil
}

// PackTransfer is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xa9059cbb.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function transfer(address to, uint256 value) returns(bool)
func (veHUDL *VeHUDL) PackTransfer(to common.Address, value *big.Int) []byte {
	enc, err := veHUDL.abi.Pack("transfer", to, value)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackTransfer is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xa9059cbb.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function transfer(address to, uint256 value) returns(bool)
func (veHUDL *VeHUDL) TryPackTransfer(to common.Address, value *big.Int) ([]byte, error) {
	return veHUDL.abi.Pack("transfer", to, value)
}

// UnpackTransfer is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xa9059cbb.
//
// Solidity: function transfer(address to, uint256 value) returns(bool)
func (veHUDL *VeHUDL) UnpackTransfer(data []byte) (bool, error) {
	out, err := veHUDL.abi.Unpack("transfer", data)
	if err != nil {
		return *new(bool), err
	}
	out0 := *abi.ConvertType(out[0], new(bool)).(*bool)
	return out0, nil
}

// PackTransferFrom is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x23b872dd.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function transferFrom(address from, address to, uint256 value) returns(bool)
func (veHUDL *VeHUDL) PackTransferFrom(from common.Address, to common.Address, value *big.Int) []byte {
	enc, err := veHUDL.abi.Pack("transferFrom", from, to, value)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackTransferFrom is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x23b872dd.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function transferFrom(address from, address to, uint256 value) returns(bool)
func (veHUDL *VeHUDL) TryPackTransferFrom(from common.Address, to common.Address, value *big.Int) ([]byte, error) {
	return veHUDL.abi.Pack("transferFrom", from, to, value)
}

// UnpackTransferFrom is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x23b872dd.
//
// Solidity: function transferFrom(address from, address to, uint256 value) returns(bool)
func (veHUDL *VeHUDL) UnpackTransferFrom(data []byte) (bool, error) {
	out, err := veHUDL.abi.Unpack("transferFrom", data)
	if err != nil {
		return *new(bool), err
	}
	out0 := *abi.ConvertType(out[0], new(bool)).(*bool)
	return out0, nil
}

// PackWithdraw is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x2e1a7d4d.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function withdraw(uint256 id) returns()
func (veHUDL *VeHUDL) PackWithdraw(id *big.Int) []byte {
	enc, err := veHUDL.abi.Pack("withdraw", id)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackWithdraw is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x2e1a7d4d.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function withdraw(uint256 id) returns()
func (veHUDL *VeHUDL) TryPackWithdraw(id *big.Int) ([]byte, error) {
	return veHUDL.abi.Pack("withdraw", id)
}

// VeHUDLApproval represents a Approval event raised by the VeHUDL contract.
type VeHUDLApproval struct {
	Owner   common.Address
	Spender common.Address
	Value   *big.Int
	Raw     *types.Log // Blockchain specific contextual infos
}

const VeHUDLApprovalEventName = "Approval"

// ContractEventName returns the user-defined event name.
func (VeHUDLApproval) ContractEventName() string {
	return VeHUDLApprovalEventName
}

// UnpackApprovalEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event Approval(address indexed owner, address indexed spender, uint256 value)
func (veHUDL *VeHUDL) UnpackApprovalEvent(log *types.Log) (*VeHUDLApproval, error) {
	event := "Approval"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != veHUDL.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(VeHUDLApproval)
	if len(log.Data) > 0 {
		if err := veHUDL.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range veHUDL.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// VeHUDLAuthorityUpdated represents a AuthorityUpdated event raised by the VeHUDL contract.
type VeHUDLAuthorityUpdated struct {
	Authority common.Address
	Raw       *types.Log // Blockchain specific contextual infos
}

const VeHUDLAuthorityUpdatedEventName = "AuthorityUpdated"

// ContractEventName returns the user-defined event name.
func (VeHUDLAuthorityUpdated) ContractEventName() string {
	return VeHUDLAuthorityUpdatedEventName
}

// UnpackAuthorityUpdatedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event AuthorityUpdated(address authority)
func (veHUDL *VeHUDL) UnpackAuthorityUpdatedEvent(log *types.Log) (*VeHUDLAuthorityUpdated, error) {
	event := "AuthorityUpdated"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != veHUDL.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(VeHUDLAuthorityUpdated)
	if len(log.Data) > 0 {
		if err := veHUDL.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range veHUDL.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// VeHUDLDelegateChanged represents a DelegateChanged event raised by the VeHUDL contract.
type VeHUDLDelegateChanged struct {
	Delegator    common.Address
	FromDelegate common.Address
	ToDelegate   common.Address
	Raw          *types.Log // Blockchain specific contextual infos
}

const VeHUDLDelegateChangedEventName = "DelegateChanged"

// ContractEventName returns the user-defined event name.
func (VeHUDLDelegateChanged) ContractEventName() string {
	return VeHUDLDelegateChangedEventName
}

// UnpackDelegateChangedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event DelegateChanged(address indexed delegator, address indexed fromDelegate, address indexed toDelegate)
func (veHUDL *VeHUDL) UnpackDelegateChangedEvent(log *types.Log) (*VeHUDLDelegateChanged, error) {
	event := "DelegateChanged"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != veHUDL.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(VeHUDLDelegateChanged)
	if len(log.Data) > 0 {
		if err := veHUDL.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range veHUDL.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// VeHUDLDelegateVotesChanged represents a DelegateVotesChanged event raised by the VeHUDL contract.
type VeHUDLDelegateVotesChanged struct {
	Delegate      common.Address
	PreviousVotes *big.Int
	NewVotes      *big.Int
	Raw           *types.Log // Blockchain specific contextual infos
}

const VeHUDLDelegateVotesChangedEventName = "DelegateVotesChanged"

// ContractEventName returns the user-defined event name.
func (VeHUDLDelegateVotesChanged) ContractEventName() string {
	return VeHUDLDelegateVotesChangedEventName
}

// UnpackDelegateVotesChangedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event DelegateVotesChanged(address indexed delegate, uint256 previousVotes, uint256 newVotes)
func (veHUDL *VeHUDL) UnpackDelegateVotesChangedEvent(log *types.Log) (*VeHUDLDelegateVotesChanged, error) {
	event := "DelegateVotesChanged"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != veHUDL.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(VeHUDLDelegateVotesChanged)
	if len(log.Data) > 0 {
		if err := veHUDL.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range veHUDL.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// VeHUDLDeposited represents a Deposited event raised by the VeHUDL contract.
type VeHUDLDeposited struct {
	Pool    common.Address
	Account common.Address
	Amount  *big.Int
	Raw     *types.Log // Blockchain specific contextual infos
}

const VeHUDLDepositedEventName = "Deposited"

// ContractEventName returns the user-defined event name.
func (VeHUDLDeposited) ContractEventName() string {
	return VeHUDLDepositedEventName
}

// UnpackDepositedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event Deposited(address indexed pool, address indexed account, uint256 amount)
func (veHUDL *VeHUDL) UnpackDepositedEvent(log *types.Log) (*VeHUDLDeposited, error) {
	event := "Deposited"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != veHUDL.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(VeHUDLDeposited)
	if len(log.Data) > 0 {
		if err := veHUDL.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range veHUDL.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// VeHUDLEIP712DomainChanged represents a EIP712DomainChanged event raised by the VeHUDL contract.
type VeHUDLEIP712DomainChanged struct {
	Raw *types.Log // Blockchain specific contextual infos
}

const VeHUDLEIP712DomainChangedEventName = "EIP712DomainChanged"

// ContractEventName returns the user-defined event name.
func (VeHUDLEIP712DomainChanged) ContractEventName() string {
	return VeHUDLEIP712DomainChangedEventName
}

// UnpackEIP712DomainChangedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event EIP712DomainChanged()
func (veHUDL *VeHUDL) UnpackEIP712DomainChangedEvent(log *types.Log) (*VeHUDLEIP712DomainChanged, error) {
	event := "EIP712DomainChanged"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != veHUDL.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(VeHUDLEIP712DomainChanged)
	if len(log.Data) > 0 {
		if err := veHUDL.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range veHUDL.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// VeHUDLRedeemLockSet represents a RedeemLockSet event raised by the VeHUDL contract.
type VeHUDLRedeemLockSet struct {
	Lock uint32
	Raw  *types.Log // Blockchain specific contextual infos
}

const VeHUDLRedeemLockSetEventName = "RedeemLockSet"

// ContractEventName returns the user-defined event name.
func (VeHUDLRedeemLockSet) ContractEventName() string {
	return VeHUDLRedeemLockSetEventName
}

// UnpackRedeemLockSetEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event RedeemLockSet(uint32 lock)
func (veHUDL *VeHUDL) UnpackRedeemLockSetEvent(log *types.Log) (*VeHUDLRedeemLockSet, error) {
	event := "RedeemLockSet"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != veHUDL.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(VeHUDLRedeemLockSet)
	if len(log.Data) > 0 {
		if err := veHUDL.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range veHUDL.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// VeHUDLRedeemRequested represents a RedeemRequested event raised by the VeHUDL contract.
type VeHUDLRedeemRequested struct {
	Account common.Address
	Id      *big.Int
	Amount  *big.Int
	ReadyAt uint64
	Raw     *types.Log // Blockchain specific contextual infos
}

const VeHUDLRedeemRequestedEventName = "RedeemRequested"

// ContractEventName returns the user-defined event name.
func (VeHUDLRedeemRequested) ContractEventName() string {
	return VeHUDLRedeemRequestedEventName
}

// UnpackRedeemRequestedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event RedeemRequested(address indexed account, uint256 indexed id, uint256 amount, uint64 readyAt)
func (veHUDL *VeHUDL) UnpackRedeemRequestedEvent(log *types.Log) (*VeHUDLRedeemRequested, error) {
	event := "RedeemRequested"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != veHUDL.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(VeHUDLRedeemRequested)
	if len(log.Data) > 0 {
		if err := veHUDL.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range veHUDL.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// VeHUDLTransfer represents a Transfer event raised by the VeHUDL contract.
type VeHUDLTransfer struct {
	From  common.Address
	To    common.Address
	Value *big.Int
	Raw   *types.Log // Blockchain specific contextual infos
}

const VeHUDLTransferEventName = "Transfer"

// ContractEventName returns the user-defined event name.
func (VeHUDLTransfer) ContractEventName() string {
	return VeHUDLTransferEventName
}

// UnpackTransferEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event Transfer(address indexed from, address indexed to, uint256 value)
func (veHUDL *VeHUDL) UnpackTransferEvent(log *types.Log) (*VeHUDLTransfer, error) {
	event := "Transfer"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != veHUDL.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(VeHUDLTransfer)
	if len(log.Data) > 0 {
		if err := veHUDL.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range veHUDL.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// VeHUDLWithdrawn represents a Withdrawn event raised by the VeHUDL contract.
type VeHUDLWithdrawn struct {
	Account common.Address
	Id      *big.Int
	Amount  *big.Int
	Raw     *types.Log // Blockchain specific contextual infos
}

const VeHUDLWithdrawnEventName = "Withdrawn"

// ContractEventName returns the user-defined event name.
func (VeHUDLWithdrawn) ContractEventName() string {
	return VeHUDLWithdrawnEventName
}

// UnpackWithdrawnEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event Withdrawn(address indexed account, uint256 indexed id, uint256 amount)
func (veHUDL *VeHUDL) UnpackWithdrawnEvent(log *types.Log) (*VeHUDLWithdrawn, error) {
	event := "Withdrawn"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != veHUDL.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(VeHUDLWithdrawn)
	if len(log.Data) > 0 {
		if err := veHUDL.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range veHUDL.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// UnpackError attempts to decode the provided error data using user-defined
// error definitions.
func (veHUDL *VeHUDL) UnpackError(raw []byte) (any, error) {
	if bytes.Equal(raw[:4], veHUDL.abi.Errors["AccessManagedInvalidAuthority"].ID.Bytes()[:4]) {
		return veHUDL.UnpackAccessManagedInvalidAuthorityError(raw[4:])
	}
	if bytes.Equal(raw[:4], veHUDL.abi.Errors["AccessManagedRequiredDelay"].ID.Bytes()[:4]) {
		return veHUDL.UnpackAccessManagedRequiredDelayError(raw[4:])
	}
	if bytes.Equal(raw[:4], veHUDL.abi.Errors["AccessManagedUnauthorized"].ID.Bytes()[:4]) {
		return veHUDL.UnpackAccessManagedUnauthorizedError(raw[4:])
	}
	if bytes.Equal(raw[:4], veHUDL.abi.Errors["CheckpointUnorderedInsertion"].ID.Bytes()[:4]) {
		return veHUDL.UnpackCheckpointUnorderedInsertionError(raw[4:])
	}
	if bytes.Equal(raw[:4], veHUDL.abi.Errors["ECDSAInvalidSignature"].ID.Bytes()[:4]) {
		return veHUDL.UnpackECDSAInvalidSignatureError(raw[4:])
	}
	if bytes.Equal(raw[:4], veHUDL.abi.Errors["ECDSAInvalidSignatureLength"].ID.Bytes()[:4]) {
		return veHUDL.UnpackECDSAInvalidSignatureLengthError(raw[4:])
	}
	if bytes.Equal(raw[:4], veHUDL.abi.Errors["ECDSAInvalidSignatureS"].ID.Bytes()[:4]) {
		return veHUDL.UnpackECDSAInvalidSignatureSError(raw[4:])
	}
	if bytes.Equal(raw[:4], veHUDL.abi.Errors["ERC20ExceededSafeSupply"].ID.Bytes()[:4]) {
		return veHUDL.UnpackERC20ExceededSafeSupplyError(raw[4:])
	}
	if bytes.Equal(raw[:4], veHUDL.abi.Errors["ERC20InsufficientAllowance"].ID.Bytes()[:4]) {
		return veHUDL.UnpackERC20InsufficientAllowanceError(raw[4:])
	}
	if bytes.Equal(raw[:4], veHUDL.abi.Errors["ERC20InsufficientBalance"].ID.Bytes()[:4]) {
		return veHUDL.UnpackERC20InsufficientBalanceError(raw[4:])
	}
	if bytes.Equal(raw[:4], veHUDL.abi.Errors["ERC20InvalidApprover"].ID.Bytes()[:4]) {
		return veHUDL.UnpackERC20InvalidApproverError(raw[4:])
	}
	if bytes.Equal(raw[:4], veHUDL.abi.Errors["ERC20InvalidReceiver"].ID.Bytes()[:4]) {
		return veHUDL.UnpackERC20InvalidReceiverError(raw[4:])
	}
	if bytes.Equal(raw[:4], veHUDL.abi.Errors["ERC20InvalidSender"].ID.Bytes()[:4]) {
		return veHUDL.UnpackERC20InvalidSenderError(raw[4:])
	}
	if bytes.Equal(raw[:4], veHUDL.abi.Errors["ERC20InvalidSpender"].ID.Bytes()[:4]) {
		return veHUDL.UnpackERC20InvalidSpenderError(raw[4:])
	}
	if bytes.Equal(raw[:4], veHUDL.abi.Errors["ERC5805FutureLookup"].ID.Bytes()[:4]) {
		return veHUDL.UnpackERC5805FutureLookupError(raw[4:])
	}
	if bytes.Equal(raw[:4], veHUDL.abi.Errors["InvalidAccountNonce"].ID.Bytes()[:4]) {
		return veHUDL.UnpackInvalidAccountNonceError(raw[4:])
	}
	if bytes.Equal(raw[:4], veHUDL.abi.Errors["InvalidShortString"].ID.Bytes()[:4]) {
		return veHUDL.UnpackInvalidShortStringError(raw[4:])
	}
	if bytes.Equal(raw[:4], veHUDL.abi.Errors["SafeCastOverflowedUintDowncast"].ID.Bytes()[:4]) {
		return veHUDL.UnpackSafeCastOverflowedUintDowncastError(raw[4:])
	}
	if bytes.Equal(raw[:4], veHUDL.abi.Errors["SafeERC20FailedOperation"].ID.Bytes()[:4]) {
		return veHUDL.UnpackSafeERC20FailedOperationError(raw[4:])
	}
	if bytes.Equal(raw[:4], veHUDL.abi.Errors["StringTooLong"].ID.Bytes()[:4]) {
		return veHUDL.UnpackStringTooLongError(raw[4:])
	}
	if bytes.Equal(raw[:4], veHUDL.abi.Errors["VeHUDL_LockTooLong"].ID.Bytes()[:4]) {
		return veHUDL.UnpackVeHUDLLockTooLongError(raw[4:])
	}
	if bytes.Equal(raw[:4], veHUDL.abi.Errors["VeHUDL_NoRedemption"].ID.Bytes()[:4]) {
		return veHUDL.UnpackVeHUDLNoRedemptionError(raw[4:])
	}
	if bytes.Equal(raw[:4], veHUDL.abi.Errors["VeHUDL_NotPool"].ID.Bytes()[:4]) {
		return veHUDL.UnpackVeHUDLNotPoolError(raw[4:])
	}
	if bytes.Equal(raw[:4], veHUDL.abi.Errors["VeHUDL_NotTransferable"].ID.Bytes()[:4]) {
		return veHUDL.UnpackVeHUDLNotTransferableError(raw[4:])
	}
	if bytes.Equal(raw[:4], veHUDL.abi.Errors["VeHUDL_NothingToRedeem"].ID.Bytes()[:4]) {
		return veHUDL.UnpackVeHUDLNothingToRedeemError(raw[4:])
	}
	if bytes.Equal(raw[:4], veHUDL.abi.Errors["VeHUDL_StillLocked"].ID.Bytes()[:4]) {
		return veHUDL.UnpackVeHUDLStillLockedError(raw[4:])
	}
	if bytes.Equal(raw[:4], veHUDL.abi.Errors["VotesExpiredSignature"].ID.Bytes()[:4]) {
		return veHUDL.UnpackVotesExpiredSignatureError(raw[4:])
	}
	return nil, errors.New("Unknown error")
}

// VeHUDLAccessManagedInvalidAuthority represents a AccessManagedInvalidAuthority error raised by the VeHUDL contract.
type VeHUDLAccessManagedInvalidAuthority struct {
	Authority common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error AccessManagedInvalidAuthority(address authority)
func VeHUDLAccessManagedInvalidAuthorityErrorID() common.Hash {
	return common.HexToHash("0xc2f31e5ee06c96eddd5864bf58d26da15afa7233cb6f74e000aa686fca7a7a0b")
}

// UnpackAccessManagedInvalidAuthorityError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error AccessManagedInvalidAuthority(address authority)
func (veHUDL *VeHUDL) UnpackAccessManagedInvalidAuthorityError(raw []byte) (*VeHUDLAccessManagedInvalidAuthority, error) {
	out := new(VeHUDLAccessManagedInvalidAuthority)
	if err := veHUDL.abi.UnpackIntoInterface(out, "AccessManagedInvalidAuthority", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// VeHUDLAccessManagedRequiredDelay represents a AccessManagedRequiredDelay error raised by the VeHUDL contract.
type VeHUDLAccessManagedRequiredDelay struct {
	Caller common.Address
	Delay  uint32
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error AccessManagedRequiredDelay(address caller, uint32 delay)
func VeHUDLAccessManagedRequiredDelayErrorID() common.Hash {
	return common.HexToHash("0xaf77169dad650be42a753d4bbd4f4ad0d10be80053e495da3bb1525746eda4e4")
}

// UnpackAccessManagedRequiredDelayError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error AccessManagedRequiredDelay(address caller, uint32 delay)
func (veHUDL *VeHUDL) UnpackAccessManagedRequiredDelayError(raw []byte) (*VeHUDLAccessManagedRequiredDelay, error) {
	out := new(VeHUDLAccessManagedRequiredDelay)
	if err := veHUDL.abi.UnpackIntoInterface(out, "AccessManagedRequiredDelay", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// VeHUDLAccessManagedUnauthorized represents a AccessManagedUnauthorized error raised by the VeHUDL contract.
type VeHUDLAccessManagedUnauthorized struct {
	Caller common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error AccessManagedUnauthorized(address caller)
func VeHUDLAccessManagedUnauthorizedErrorID() common.Hash {
	return common.HexToHash("0x068ca9d827f779c08fd30d7fda45faef5f2a6b2e57f8b809b3c6bbed99f5fb1f")
}

// UnpackAccessManagedUnauthorizedError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error AccessManagedUnauthorized(address caller)
func (veHUDL *VeHUDL) UnpackAccessManagedUnauthorizedError(raw []byte) (*VeHUDLAccessManagedUnauthorized, error) {
	out := new(VeHUDLAccessManagedUnauthorized)
	if err := veHUDL.abi.UnpackIntoInterface(out, "AccessManagedUnauthorized", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// VeHUDLCheckpointUnorderedInsertion represents a CheckpointUnorderedInsertion error raised by the VeHUDL contract.
type VeHUDLCheckpointUnorderedInsertion struct {
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error CheckpointUnorderedInsertion()
func VeHUDLCheckpointUnorderedInsertionErrorID() common.Hash {
	return common.HexToHash("0x2520601d9d60b717c34a36ad270857824c5a1ebbfd08ff39aba6930089495cfa")
}

// UnpackCheckpointUnorderedInsertionError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error CheckpointUnorderedInsertion()
func (veHUDL *VeHUDL) UnpackCheckpointUnorderedInsertionError(raw []byte) (*VeHUDLCheckpointUnorderedInsertion, error) {
	out := new(VeHUDLCheckpointUnorderedInsertion)
	if err := veHUDL.abi.UnpackIntoInterface(out, "CheckpointUnorderedInsertion", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// VeHUDLECDSAInvalidSignature represents a ECDSAInvalidSignature error raised by the VeHUDL contract.
type VeHUDLECDSAInvalidSignature struct {
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error ECDSAInvalidSignature()
func VeHUDLECDSAInvalidSignatureErrorID() common.Hash {
	return common.HexToHash("0xf645eedf0193584640b6b90cb9477e4c95b98636c148a891d4c0a146dc46e75a")
}

// UnpackECDSAInvalidSignatureError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error ECDSAInvalidSignature()
func (veHUDL *VeHUDL) UnpackECDSAInvalidSignatureError(raw []byte) (*VeHUDLECDSAInvalidSignature, error) {
	out := new(VeHUDLECDSAInvalidSignature)
	if err := veHUDL.abi.UnpackIntoInterface(out, "ECDSAInvalidSignature", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// VeHUDLECDSAInvalidSignatureLength represents a ECDSAInvalidSignatureLength error raised by the VeHUDL contract.
type VeHUDLECDSAInvalidSignatureLength struct {
	Length *big.Int
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error ECDSAInvalidSignatureLength(uint256 length)
func VeHUDLECDSAInvalidSignatureLengthErrorID() common.Hash {
	return common.HexToHash("0xfce698f7e8e5342cd615f641317bc45fe7e1e4a8b0a14dd1383ff8dc9c41917f")
}

// UnpackECDSAInvalidSignatureLengthError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error ECDSAInvalidSignatureLength(uint256 length)
func (veHUDL *VeHUDL) UnpackECDSAInvalidSignatureLengthError(raw []byte) (*VeHUDLECDSAInvalidSignatureLength, error) {
	out := new(VeHUDLECDSAInvalidSignatureLength)
	if err := veHUDL.abi.UnpackIntoInterface(out, "ECDSAInvalidSignatureLength", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// VeHUDLECDSAInvalidSignatureS represents a ECDSAInvalidSignatureS error raised by the VeHUDL contract.
type VeHUDLECDSAInvalidSignatureS struct {
	S [32]byte
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error ECDSAInvalidSignatureS(bytes32 s)
func VeHUDLECDSAInvalidSignatureSErrorID() common.Hash {
	return common.HexToHash("0xd78bce0cccb935155ed6428d1c13e50b7f3550fd2b66b9fe266006fea4a5e1eb")
}

// UnpackECDSAInvalidSignatureSError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error ECDSAInvalidSignatureS(bytes32 s)
func (veHUDL *VeHUDL) UnpackECDSAInvalidSignatureSError(raw []byte) (*VeHUDLECDSAInvalidSignatureS, error) {
	out := new(VeHUDLECDSAInvalidSignatureS)
	if err := veHUDL.abi.UnpackIntoInterface(out, "ECDSAInvalidSignatureS", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// VeHUDLERC20ExceededSafeSupply represents a ERC20ExceededSafeSupply error raised by the VeHUDL contract.
type VeHUDLERC20ExceededSafeSupply struct {
	IncreasedSupply *big.Int
	Cap             *big.Int
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error ERC20ExceededSafeSupply(uint256 increasedSupply, uint256 cap)
func VeHUDLERC20ExceededSafeSupplyErrorID() common.Hash {
	return common.HexToHash("0x1cb15d26dea6ae78228522d00b5965f950275bea9a67abeec04cb99806defd4c")
}

// UnpackERC20ExceededSafeSupplyError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error ERC20ExceededSafeSupply(uint256 increasedSupply, uint256 cap)
func (veHUDL *VeHUDL) UnpackERC20ExceededSafeSupplyError(raw []byte) (*VeHUDLERC20ExceededSafeSupply, error) {
	out := new(VeHUDLERC20ExceededSafeSupply)
	if err := veHUDL.abi.UnpackIntoInterface(out, "ERC20ExceededSafeSupply", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// VeHUDLERC20InsufficientAllowance represents a ERC20InsufficientAllowance error raised by the VeHUDL contract.
type VeHUDLERC20InsufficientAllowance struct {
	Spender   common.Address
	Allowance *big.Int
	Needed    *big.Int
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error ERC20InsufficientAllowance(address spender, uint256 allowance, uint256 needed)
func VeHUDLERC20InsufficientAllowanceErrorID() common.Hash {
	return common.HexToHash("0xfb8f41b23e99d2101d86da76cdfa87dd51c82ed07d3cb62cbc473e469dbc75c3")
}

// UnpackERC20InsufficientAllowanceError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error ERC20InsufficientAllowance(address spender, uint256 allowance, uint256 needed)
func (veHUDL *VeHUDL) UnpackERC20InsufficientAllowanceError(raw []byte) (*VeHUDLERC20InsufficientAllowance, error) {
	out := new(VeHUDLERC20InsufficientAllowance)
	if err := veHUDL.abi.UnpackIntoInterface(out, "ERC20InsufficientAllowance", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// VeHUDLERC20InsufficientBalance represents a ERC20InsufficientBalance error raised by the VeHUDL contract.
type VeHUDLERC20InsufficientBalance struct {
	Sender  common.Address
	Balance *big.Int
	Needed  *big.Int
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error ERC20InsufficientBalance(address sender, uint256 balance, uint256 needed)
func VeHUDLERC20InsufficientBalanceErrorID() common.Hash {
	return common.HexToHash("0xe450d38cd8d9f7d95077d567d60ed49c7254716e6ad08fc9872816c97e0ffec6")
}

// UnpackERC20InsufficientBalanceError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error ERC20InsufficientBalance(address sender, uint256 balance, uint256 needed)
func (veHUDL *VeHUDL) UnpackERC20InsufficientBalanceError(raw []byte) (*VeHUDLERC20InsufficientBalance, error) {
	out := new(VeHUDLERC20InsufficientBalance)
	if err := veHUDL.abi.UnpackIntoInterface(out, "ERC20InsufficientBalance", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// VeHUDLERC20InvalidApprover represents a ERC20InvalidApprover error raised by the VeHUDL contract.
type VeHUDLERC20InvalidApprover struct {
	Approver common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error ERC20InvalidApprover(address approver)
func VeHUDLERC20InvalidApproverErrorID() common.Hash {
	return common.HexToHash("0xe602df05cc75712490294c6c104ab7c17f4030363910a7a2626411c6d3118847")
}

// UnpackERC20InvalidApproverError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error ERC20InvalidApprover(address approver)
func (veHUDL *VeHUDL) UnpackERC20InvalidApproverError(raw []byte) (*VeHUDLERC20InvalidApprover, error) {
	out := new(VeHUDLERC20InvalidApprover)
	if err := veHUDL.abi.UnpackIntoInterface(out, "ERC20InvalidApprover", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// VeHUDLERC20InvalidReceiver represents a ERC20InvalidReceiver error raised by the VeHUDL contract.
type VeHUDLERC20InvalidReceiver struct {
	Receiver common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error ERC20InvalidReceiver(address receiver)
func VeHUDLERC20InvalidReceiverErrorID() common.Hash {
	return common.HexToHash("0xec442f055133b72f3b2f9f0bb351c406b178527de2040a7d1feb4e058771f613")
}

// UnpackERC20InvalidReceiverError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error ERC20InvalidReceiver(address receiver)
func (veHUDL *VeHUDL) UnpackERC20InvalidReceiverError(raw []byte) (*VeHUDLERC20InvalidReceiver, error) {
	out := new(VeHUDLERC20InvalidReceiver)
	if err := veHUDL.abi.UnpackIntoInterface(out, "ERC20InvalidReceiver", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// VeHUDLERC20InvalidSender represents a ERC20InvalidSender error raised by the VeHUDL contract.
type VeHUDLERC20InvalidSender struct {
	Sender common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error ERC20InvalidSender(address sender)
func VeHUDLERC20InvalidSenderErrorID() common.Hash {
	return common.HexToHash("0x96c6fd1edd0cd6ef7ff0ecc0facdf53148dc0048b57fe58af65755250a7a96bd")
}

// UnpackERC20InvalidSenderError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error ERC20InvalidSender(address sender)
func (veHUDL *VeHUDL) UnpackERC20InvalidSenderError(raw []byte) (*VeHUDLERC20InvalidSender, error) {
	out := new(VeHUDLERC20InvalidSender)
	if err := veHUDL.abi.UnpackIntoInterface(out, "ERC20InvalidSender", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// VeHUDLERC20InvalidSpender represents a ERC20InvalidSpender error raised by the VeHUDL contract.
type VeHUDLERC20InvalidSpender struct {
	Spender common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error ERC20InvalidSpender(address spender)
func VeHUDLERC20InvalidSpenderErrorID() common.Hash {
	return common.HexToHash("0x94280d62c347d8d9f4d59a76ea321452406db88df38e0c9da304f58b57b373a2")
}

// UnpackERC20InvalidSpenderError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error ERC20InvalidSpender(address spender)
func (veHUDL *VeHUDL) UnpackERC20InvalidSpenderError(raw []byte) (*VeHUDLERC20InvalidSpender, error) {
	out := new(VeHUDLERC20InvalidSpender)
	if err := veHUDL.abi.UnpackIntoInterface(out, "ERC20InvalidSpender", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// VeHUDLERC5805FutureLookup represents a ERC5805FutureLookup error raised by the VeHUDL contract.
type VeHUDLERC5805FutureLookup struct {
	Timepoint *big.Int
	Clock     *big.Int
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error ERC5805FutureLookup(uint256 timepoint, uint48 clock)
func VeHUDLERC5805FutureLookupErrorID() common.Hash {
	return common.HexToHash("0xecd3f81ef0a2e77b4e11bb288f0a162344834f778af7e47bdbee611607f14457")
}

// UnpackERC5805FutureLookupError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error ERC5805FutureLookup(uint256 timepoint, uint48 clock)
func (veHUDL *VeHUDL) UnpackERC5805FutureLookupError(raw []byte) (*VeHUDLERC5805FutureLookup, error) {
	out := new(VeHUDLERC5805FutureLookup)
	if err := veHUDL.abi.UnpackIntoInterface(out, "ERC5805FutureLookup", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// VeHUDLInvalidAccountNonce represents a InvalidAccountNonce error raised by the VeHUDL contract.
type VeHUDLInvalidAccountNonce struct {
	Account      common.Address
	CurrentNonce *big.Int
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error InvalidAccountNonce(address account, uint256 currentNonce)
func VeHUDLInvalidAccountNonceErrorID() common.Hash {
	return common.HexToHash("0x752d88c0de02638abf10e8e31861e4c68dc1f3a1e7d840e580683f2c282bfc7a")
}

// UnpackInvalidAccountNonceError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error InvalidAccountNonce(address account, uint256 currentNonce)
func (veHUDL *VeHUDL) UnpackInvalidAccountNonceError(raw []byte) (*VeHUDLInvalidAccountNonce, error) {
	out := new(VeHUDLInvalidAccountNonce)
	if err := veHUDL.abi.UnpackIntoInterface(out, "InvalidAccountNonce", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// VeHUDLInvalidShortString represents a InvalidShortString error raised by the VeHUDL contract.
type VeHUDLInvalidShortString struct {
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error InvalidShortString()
func VeHUDLInvalidShortStringErrorID() common.Hash {
	return common.HexToHash("0xb3512b0c6163e5f0bafab72bb631b9d58cd7a731b082f910338aa21c83d5c274")
}

// UnpackInvalidShortStringError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error InvalidShortString()
func (veHUDL *VeHUDL) UnpackInvalidShortStringError(raw []byte) (*VeHUDLInvalidShortString, error) {
	out := new(VeHUDLInvalidShortString)
	if err := veHUDL.abi.UnpackIntoInterface(out, "InvalidShortString", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// VeHUDLSafeCastOverflowedUintDowncast represents a SafeCastOverflowedUintDowncast error raised by the VeHUDL contract.
type VeHUDLSafeCastOverflowedUintDowncast struct {
	Bits  uint8
	Value *big.Int
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error SafeCastOverflowedUintDowncast(uint8 bits, uint256 value)
func VeHUDLSafeCastOverflowedUintDowncastErrorID() common.Hash {
	return common.HexToHash("0x6dfcc6503a32754ce7a89698e18201fc5294fd4aad43edefee786f88423b1a12")
}

// UnpackSafeCastOverflowedUintDowncastError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error SafeCastOverflowedUintDowncast(uint8 bits, uint256 value)
func (veHUDL *VeHUDL) UnpackSafeCastOverflowedUintDowncastError(raw []byte) (*VeHUDLSafeCastOverflowedUintDowncast, error) {
	out := new(VeHUDLSafeCastOverflowedUintDowncast)
	if err := veHUDL.abi.UnpackIntoInterface(out, "SafeCastOverflowedUintDowncast", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// VeHUDLSafeERC20FailedOperation represents a SafeERC20FailedOperation error raised by the VeHUDL contract.
type VeHUDLSafeERC20FailedOperation struct {
	Token common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error SafeERC20FailedOperation(address token)
func VeHUDLSafeERC20FailedOperationErrorID() common.Hash {
	return common.HexToHash("0x5274afe73c98b4749fc91ffae6b7b574e7842cb2144a159e9377a5f20b32edf9")
}

// UnpackSafeERC20FailedOperationError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error SafeERC20FailedOperation(address token)
func (veHUDL *VeHUDL) UnpackSafeERC20FailedOperationError(raw []byte) (*VeHUDLSafeERC20FailedOperation, error) {
	out := new(VeHUDLSafeERC20FailedOperation)
	if err := veHUDL.abi.UnpackIntoInterface(out, "SafeERC20FailedOperation", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// VeHUDLStringTooLong represents a StringTooLong error raised by the VeHUDL contract.
type VeHUDLStringTooLong struct {
	Str string
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error StringTooLong(string str)
func VeHUDLStringTooLongErrorID() common.Hash {
	return common.HexToHash("0x305a27a93f8e33b7392df0a0f91d6fc63847395853c45991eec52dbf24d72381")
}

// UnpackStringTooLongError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error StringTooLong(string str)
func (veHUDL *VeHUDL) UnpackStringTooLongError(raw []byte) (*VeHUDLStringTooLong, error) {
	out := new(VeHUDLStringTooLong)
	if err := veHUDL.abi.UnpackIntoInterface(out, "StringTooLong", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// VeHUDLVeHUDLLockTooLong represents a VeHUDL_LockTooLong error raised by the VeHUDL contract.
type VeHUDLVeHUDLLockTooLong struct {
	Lock uint32
	Most uint32
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error VeHUDL_LockTooLong(uint32 lock, uint32 most)
func VeHUDLVeHUDLLockTooLongErrorID() common.Hash {
	return common.HexToHash("0xeb9ea8dd1bd365b54a78bd8a7355557d09a146b872bb292fc0690dad84e632de")
}

// UnpackVeHUDLLockTooLongError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error VeHUDL_LockTooLong(uint32 lock, uint32 most)
func (veHUDL *VeHUDL) UnpackVeHUDLLockTooLongError(raw []byte) (*VeHUDLVeHUDLLockTooLong, error) {
	out := new(VeHUDLVeHUDLLockTooLong)
	if err := veHUDL.abi.UnpackIntoInterface(out, "VeHUDL_LockTooLong", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// VeHUDLVeHUDLNoRedemption represents a VeHUDL_NoRedemption error raised by the VeHUDL contract.
type VeHUDLVeHUDLNoRedemption struct {
	Account common.Address
	Id      *big.Int
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error VeHUDL_NoRedemption(address account, uint256 id)
func VeHUDLVeHUDLNoRedemptionErrorID() common.Hash {
	return common.HexToHash("0x1a7a4de39ad83e15dee95bb9c29b02d22f1c3a0fb36efa69bb9d0aa81559deb7")
}

// UnpackVeHUDLNoRedemptionError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error VeHUDL_NoRedemption(address account, uint256 id)
func (veHUDL *VeHUDL) UnpackVeHUDLNoRedemptionError(raw []byte) (*VeHUDLVeHUDLNoRedemption, error) {
	out := new(VeHUDLVeHUDLNoRedemption)
	if err := veHUDL.abi.UnpackIntoInterface(out, "VeHUDL_NoRedemption", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// VeHUDLVeHUDLNotPool represents a VeHUDL_NotPool error raised by the VeHUDL contract.
type VeHUDLVeHUDLNotPool struct {
	Caller common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error VeHUDL_NotPool(address caller)
func VeHUDLVeHUDLNotPoolErrorID() common.Hash {
	return common.HexToHash("0xc1966e0f63e4e18ddd2afe338533230d0b267d60711e9f26a6d71b621f7c43c5")
}

// UnpackVeHUDLNotPoolError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error VeHUDL_NotPool(address caller)
func (veHUDL *VeHUDL) UnpackVeHUDLNotPoolError(raw []byte) (*VeHUDLVeHUDLNotPool, error) {
	out := new(VeHUDLVeHUDLNotPool)
	if err := veHUDL.abi.UnpackIntoInterface(out, "VeHUDL_NotPool", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// VeHUDLVeHUDLNotTransferable represents a VeHUDL_NotTransferable error raised by the VeHUDL contract.
type VeHUDLVeHUDLNotTransferable struct {
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error VeHUDL_NotTransferable()
func VeHUDLVeHUDLNotTransferableErrorID() common.Hash {
	return common.HexToHash("0x1dcf088bd179a6f0813693f194c0d4a3270574244048895a9f31652364c60b88")
}

// UnpackVeHUDLNotTransferableError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error VeHUDL_NotTransferable()
func (veHUDL *VeHUDL) UnpackVeHUDLNotTransferableError(raw []byte) (*VeHUDLVeHUDLNotTransferable, error) {
	out := new(VeHUDLVeHUDLNotTransferable)
	if err := veHUDL.abi.UnpackIntoInterface(out, "VeHUDL_NotTransferable", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// VeHUDLVeHUDLNothingToRedeem represents a VeHUDL_NothingToRedeem error raised by the VeHUDL contract.
type VeHUDLVeHUDLNothingToRedeem struct {
	Account common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error VeHUDL_NothingToRedeem(address account)
func VeHUDLVeHUDLNothingToRedeemErrorID() common.Hash {
	return common.HexToHash("0xbe75cc8d3cec6ccf6b28093fbfc58d97fec8e81a8157cc74b982dc44aabf4b93")
}

// UnpackVeHUDLNothingToRedeemError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error VeHUDL_NothingToRedeem(address account)
func (veHUDL *VeHUDL) UnpackVeHUDLNothingToRedeemError(raw []byte) (*VeHUDLVeHUDLNothingToRedeem, error) {
	out := new(VeHUDLVeHUDLNothingToRedeem)
	if err := veHUDL.abi.UnpackIntoInterface(out, "VeHUDL_NothingToRedeem", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// VeHUDLVeHUDLStillLocked represents a VeHUDL_StillLocked error raised by the VeHUDL contract.
type VeHUDLVeHUDLStillLocked struct {
	Now     uint64
	ReadyAt uint64
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error VeHUDL_StillLocked(uint64 now_, uint64 readyAt)
func VeHUDLVeHUDLStillLockedErrorID() common.Hash {
	return common.HexToHash("0x79ee1fea92ed6ffdd6126a787ff3372c913de797c874ecc98dedcc0891452e6f")
}

// UnpackVeHUDLStillLockedError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error VeHUDL_StillLocked(uint64 now_, uint64 readyAt)
func (veHUDL *VeHUDL) UnpackVeHUDLStillLockedError(raw []byte) (*VeHUDLVeHUDLStillLocked, error) {
	out := new(VeHUDLVeHUDLStillLocked)
	if err := veHUDL.abi.UnpackIntoInterface(out, "VeHUDL_StillLocked", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// VeHUDLVotesExpiredSignature represents a VotesExpiredSignature error raised by the VeHUDL contract.
type VeHUDLVotesExpiredSignature struct {
	Expiry *big.Int
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error VotesExpiredSignature(uint256 expiry)
func VeHUDLVotesExpiredSignatureErrorID() common.Hash {
	return common.HexToHash("0x4683af0ecae671986a1b991272ba6e7bcb633f179b33ccfb3beb636962b1efde")
}

// UnpackVotesExpiredSignatureError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error VotesExpiredSignature(uint256 expiry)
func (veHUDL *VeHUDL) UnpackVotesExpiredSignatureError(raw []byte) (*VeHUDLVotesExpiredSignature, error) {
	out := new(VeHUDLVotesExpiredSignature)
	if err := veHUDL.abi.UnpackIntoInterface(out, "VotesExpiredSignature", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// VestingMetaData contains all meta data concerning the Vesting contract.
var VestingMetaData = bind.MetaData{
	ABI: "[{\"inputs\":[{\"internalType\":\"address\",\"name\":\"beneficiary\",\"type\":\"address\"},{\"internalType\":\"uint64\",\"name\":\"start\",\"type\":\"uint64\"},{\"internalType\":\"uint64\",\"name\":\"duration\",\"type\":\"uint64\"},{\"internalType\":\"uint64\",\"name\":\"cliff\",\"type\":\"uint64\"}],\"stateMutability\":\"nonpayable\",\"type\":\"constructor\"},{\"stateMutability\":\"payable\",\"type\":\"receive\"},{\"inputs\":[],\"name\":\"cliff\",\"outputs\":[{\"internalType\":\"uint256\",\"name\":\"\",\"type\":\"uint256\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[],\"name\":\"duration\",\"outputs\":[{\"internalType\":\"uint256\",\"name\":\"\",\"type\":\"uint256\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[],\"name\":\"end\",\"outputs\":[{\"internalType\":\"uint256\",\"name\":\"\",\"type\":\"uint256\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[],\"name\":\"owner\",\"outputs\":[{\"internalType\":\"address\",\"name\":\"\",\"type\":\"address\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"token\",\"type\":\"address\"}],\"name\":\"releasable\",\"outputs\":[{\"internalType\":\"uint256\",\"name\":\"\",\"type\":\"uint256\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[],\"name\":\"releasable\",\"outputs\":[{\"internalType\":\"uint256\",\"name\":\"\",\"type\":\"uint256\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"token\",\"type\":\"address\"}],\"name\":\"release\",\"outputs\":[],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[],\"name\":\"release\",\"outputs\":[],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[],\"name\":\"released\",\"outputs\":[{\"internalType\":\"uint256\",\"name\":\"\",\"type\":\"uint256\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"token\",\"type\":\"address\"}],\"name\":\"released\",\"outputs\":[{\"internalType\":\"uint256\",\"name\":\"\",\"type\":\"uint256\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[],\"name\":\"renounceOwnership\",\"outputs\":[],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[],\"name\":\"start\",\"outputs\":[{\"internalType\":\"uint256\",\"name\":\"\",\"type\":\"uint256\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"newOwner\",\"type\":\"address\"}],\"name\":\"transferOwnership\",\"outputs\":[],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"uint64\",\"name\":\"timestamp\",\"type\":\"uint64\"}],\"name\":\"vestedAmount\",\"outputs\":[{\"internalType\":\"uint256\",\"name\":\"\",\"type\":\"uint256\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"token\",\"type\":\"address\"},{\"internalType\":\"uint64\",\"name\":\"timestamp\",\"type\":\"uint64\"}],\"name\":\"vestedAmount\",\"outputs\":[{\"internalType\":\"uint256\",\"name\":\"\",\"type\":\"uint256\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":true,\"internalType\":\"address\",\"name\":\"token\",\"type\":\"address\"},{\"indexed\":false,\"internalType\":\"uint256\",\"name\":\"amount\",\"type\":\"uint256\"}],\"name\":\"ERC20Released\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":false,\"internalType\":\"uint256\",\"name\":\"amount\",\"type\":\"uint256\"}],\"name\":\"EtherReleased\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":true,\"internalType\":\"address\",\"name\":\"previousOwner\",\"type\":\"address\"},{\"indexed\":true,\"internalType\":\"address\",\"name\":\"newOwner\",\"type\":\"address\"}],\"name\":\"OwnershipTransferred\",\"type\":\"event\"},{\"inputs\":[],\"name\":\"FailedCall\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"uint256\",\"name\":\"balance\",\"type\":\"uint256\"},{\"internalType\":\"uint256\",\"name\":\"needed\",\"type\":\"uint256\"}],\"name\":\"InsufficientBalance\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"uint64\",\"name\":\"cliffSeconds\",\"type\":\"uint64\"},{\"internalType\":\"uint64\",\"name\":\"durationSeconds\",\"type\":\"uint64\"}],\"name\":\"InvalidCliffDuration\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"owner\",\"type\":\"address\"}],\"name\":\"OwnableInvalidOwner\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"account\",\"type\":\"address\"}],\"name\":\"OwnableUnauthorizedAccount\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"uint8\",\"name\":\"bits\",\"type\":\"uint8\"},{\"internalType\":\"uint256\",\"name\":\"value\",\"type\":\"uint256\"}],\"name\":\"SafeCastOverflowedUintDowncast\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"token\",\"type\":\"address\"}],\"name\":\"SafeERC20FailedOperation\",\"type\":\"error\"}]",
	ID:  "64383d844d86caca93b4637403ae5826f5",
}

// Vesting is an auto generated Go binding around an Ethereum contract.
type Vesting struct {
	abi abi.ABI
}

// GetABI returns the ABI associated with this contract binding.
func (c *Vesting) GetABI() abi.ABI {
	return c.abi
}

// NewVesting creates a new instance of Vesting.
func NewVesting() *Vesting {
	parsed, err := VestingMetaData.ParseABI()
	if err != nil {
		panic(errors.New("invalid ABI: " + err.Error()))
	}
	return &Vesting{abi: *parsed}
}

// Instance creates a wrapper for a deployed contract instance at the given address.
// Use this to create the instance object passed to abigen v2 library functions Call, Transact, etc.
func (c *Vesting) Instance(backend bind.ContractBackend, addr common.Address) *bind.BoundContract {
	return bind.NewBoundContract(addr, c.abi, backend, backend, backend)
}

// PackConstructor is the Go binding used to pack the parameters required for
// contract deployment.
//
// Solidity: constructor(address beneficiary, uint64 start, uint64 duration, uint64 cliff) returns()
func (vesting *Vesting) PackConstructor(beneficiary common.Address, start uint64, duration uint64, cliff uint64) []byte {
	enc, err := vesting.abi.Pack("", beneficiary, start, duration, cliff)
	if err != nil {
		panic(err)
	}
	return enc
}

// PackCliff is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x13d033c0.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function cliff() view returns(uint256)
func (vesting *Vesting) PackCliff() []byte {
	enc, err := vesting.abi.Pack("cliff")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackCliff is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x13d033c0.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function cliff() view returns(uint256)
func (vesting *Vesting) TryPackCliff() ([]byte, error) {
	return vesting.abi.Pack("cliff")
}

// UnpackCliff is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x13d033c0.
//
// Solidity: function cliff() view returns(uint256)
func (vesting *Vesting) UnpackCliff(data []byte) (*big.Int, error) {
	out, err := vesting.abi.Unpack("cliff", data)
	if err != nil {
		return new(big.Int), err
	}
	out0 := abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	return out0, nil
}

// PackDuration is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x0fb5a6b4.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function duration() view returns(uint256)
func (vesting *Vesting) PackDuration() []byte {
	enc, err := vesting.abi.Pack("duration")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackDuration is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x0fb5a6b4.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function duration() view returns(uint256)
func (vesting *Vesting) TryPackDuration() ([]byte, error) {
	return vesting.abi.Pack("duration")
}

// UnpackDuration is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x0fb5a6b4.
//
// Solidity: function duration() view returns(uint256)
func (vesting *Vesting) UnpackDuration(data []byte) (*big.Int, error) {
	out, err := vesting.abi.Unpack("duration", data)
	if err != nil {
		return new(big.Int), err
	}
	out0 := abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	return out0, nil
}

// PackEnd is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xefbe1c1c.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function end() view returns(uint256)
func (vesting *Vesting) PackEnd() []byte {
	enc, err := vesting.abi.Pack("end")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackEnd is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xefbe1c1c.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function end() view returns(uint256)
func (vesting *Vesting) TryPackEnd() ([]byte, error) {
	return vesting.abi.Pack("end")
}

// UnpackEnd is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xefbe1c1c.
//
// Solidity: function end() view returns(uint256)
func (vesting *Vesting) UnpackEnd(data []byte) (*big.Int, error) {
	out, err := vesting.abi.Unpack("end", data)
	if err != nil {
		return new(big.Int), err
	}
	out0 := abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	return out0, nil
}

// PackOwner is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x8da5cb5b.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function owner() view returns(address)
func (vesting *Vesting) PackOwner() []byte {
	enc, err := vesting.abi.Pack("owner")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackOwner is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x8da5cb5b.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function owner() view returns(address)
func (vesting *Vesting) TryPackOwner() ([]byte, error) {
	return vesting.abi.Pack("owner")
}

// UnpackOwner is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x8da5cb5b.
//
// Solidity: function owner() view returns(address)
func (vesting *Vesting) UnpackOwner(data []byte) (common.Address, error) {
	out, err := vesting.abi.Unpack("owner", data)
	if err != nil {
		return *new(common.Address), err
	}
	out0 := *abi.ConvertType(out[0], new(common.Address)).(*common.Address)
	return out0, nil
}

// PackReleasable is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xa3f8eace.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function releasable(address token) view returns(uint256)
func (vesting *Vesting) PackReleasable(token common.Address) []byte {
	enc, err := vesting.abi.Pack("releasable", token)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackReleasable is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xa3f8eace.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function releasable(address token) view returns(uint256)
func (vesting *Vesting) TryPackReleasable(token common.Address) ([]byte, error) {
	return vesting.abi.Pack("releasable", token)
}

// UnpackReleasable is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xa3f8eace.
//
// Solidity: function releasable(address token) view returns(uint256)
func (vesting *Vesting) UnpackReleasable(data []byte) (*big.Int, error) {
	out, err := vesting.abi.Unpack("releasable", data)
	if err != nil {
		return new(big.Int), err
	}
	out0 := abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	return out0, nil
}

// PackReleasable0 is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xfbccedae.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function releasable() view returns(uint256)
func (vesting *Vesting) PackReleasable0() []byte {
	enc, err := vesting.abi.Pack("releasable0")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackReleasable0 is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xfbccedae.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function releasable() view returns(uint256)
func (vesting *Vesting) TryPackReleasable0() ([]byte, error) {
	return vesting.abi.Pack("releasable0")
}

// UnpackReleasable0 is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xfbccedae.
//
// Solidity: function releasable() view returns(uint256)
func (vesting *Vesting) UnpackReleasable0(data []byte) (*big.Int, error) {
	out, err := vesting.abi.Unpack("releasable0", data)
	if err != nil {
		return new(big.Int), err
	}
	out0 := abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	return out0, nil
}

// PackRelease is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x19165587.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function release(address token) returns()
func (vesting *Vesting) PackRelease(token common.Address) []byte {
	enc, err := vesting.abi.Pack("release", token)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackRelease is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x19165587.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function release(address token) returns()
func (vesting *Vesting) TryPackRelease(token common.Address) ([]byte, error) {
	return vesting.abi.Pack("release", token)
}

// PackRelease0 is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x86d1a69f.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function release() returns()
func (vesting *Vesting) PackRelease0() []byte {
	enc, err := vesting.abi.Pack("release0")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackRelease0 is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x86d1a69f.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function release() returns()
func (vesting *Vesting) TryPackRelease0() ([]byte, error) {
	return vesting.abi.Pack("release0")
}

// PackReleased is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x96132521.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function released() view returns(uint256)
func (vesting *Vesting) PackReleased() []byte {
	enc, err := vesting.abi.Pack("released")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackReleased is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x96132521.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function released() view returns(uint256)
func (vesting *Vesting) TryPackReleased() ([]byte, error) {
	return vesting.abi.Pack("released")
}

// UnpackReleased is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x96132521.
//
// Solidity: function released() view returns(uint256)
func (vesting *Vesting) UnpackReleased(data []byte) (*big.Int, error) {
	out, err := vesting.abi.Unpack("released", data)
	if err != nil {
		return new(big.Int), err
	}
	out0 := abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	return out0, nil
}

// PackReleased0 is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x9852595c.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function released(address token) view returns(uint256)
func (vesting *Vesting) PackReleased0(token common.Address) []byte {
	enc, err := vesting.abi.Pack("released0", token)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackReleased0 is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x9852595c.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function released(address token) view returns(uint256)
func (vesting *Vesting) TryPackReleased0(token common.Address) ([]byte, error) {
	return vesting.abi.Pack("released0", token)
}

// UnpackReleased0 is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x9852595c.
//
// Solidity: function released(address token) view returns(uint256)
func (vesting *Vesting) UnpackReleased0(data []byte) (*big.Int, error) {
	out, err := vesting.abi.Unpack("released0", data)
	if err != nil {
		return new(big.Int), err
	}
	out0 := abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	return out0, nil
}

// PackRenounceOwnership is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x715018a6.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function renounceOwnership() returns()
func (vesting *Vesting) PackRenounceOwnership() []byte {
	enc, err := vesting.abi.Pack("renounceOwnership")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackRenounceOwnership is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x715018a6.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function renounceOwnership() returns()
func (vesting *Vesting) TryPackRenounceOwnership() ([]byte, error) {
	return vesting.abi.Pack("renounceOwnership")
}

// PackStart is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xbe9a6555.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function start() view returns(uint256)
func (vesting *Vesting) PackStart() []byte {
	enc, err := vesting.abi.Pack("start")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackStart is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xbe9a6555.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function start() view returns(uint256)
func (vesting *Vesting) TryPackStart() ([]byte, error) {
	return vesting.abi.Pack("start")
}

// UnpackStart is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xbe9a6555.
//
// Solidity: function start() view returns(uint256)
func (vesting *Vesting) UnpackStart(data []byte) (*big.Int, error) {
	out, err := vesting.abi.Unpack("start", data)
	if err != nil {
		return new(big.Int), err
	}
	out0 := abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	return out0, nil
}

// PackTransferOwnership is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xf2fde38b.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function transferOwnership(address newOwner) returns()
func (vesting *Vesting) PackTransferOwnership(newOwner common.Address) []byte {
	enc, err := vesting.abi.Pack("transferOwnership", newOwner)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackTransferOwnership is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xf2fde38b.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function transferOwnership(address newOwner) returns()
func (vesting *Vesting) TryPackTransferOwnership(newOwner common.Address) ([]byte, error) {
	return vesting.abi.Pack("transferOwnership", newOwner)
}

// PackVestedAmount is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x0a17b06b.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function vestedAmount(uint64 timestamp) view returns(uint256)
func (vesting *Vesting) PackVestedAmount(timestamp uint64) []byte {
	enc, err := vesting.abi.Pack("vestedAmount", timestamp)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackVestedAmount is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x0a17b06b.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function vestedAmount(uint64 timestamp) view returns(uint256)
func (vesting *Vesting) TryPackVestedAmount(timestamp uint64) ([]byte, error) {
	return vesting.abi.Pack("vestedAmount", timestamp)
}

// UnpackVestedAmount is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x0a17b06b.
//
// Solidity: function vestedAmount(uint64 timestamp) view returns(uint256)
func (vesting *Vesting) UnpackVestedAmount(data []byte) (*big.Int, error) {
	out, err := vesting.abi.Unpack("vestedAmount", data)
	if err != nil {
		return new(big.Int), err
	}
	out0 := abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	return out0, nil
}

// PackVestedAmount0 is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x810ec23b.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function vestedAmount(address token, uint64 timestamp) view returns(uint256)
func (vesting *Vesting) PackVestedAmount0(token common.Address, timestamp uint64) []byte {
	enc, err := vesting.abi.Pack("vestedAmount0", token, timestamp)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackVestedAmount0 is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x810ec23b.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function vestedAmount(address token, uint64 timestamp) view returns(uint256)
func (vesting *Vesting) TryPackVestedAmount0(token common.Address, timestamp uint64) ([]byte, error) {
	return vesting.abi.Pack("vestedAmount0", token, timestamp)
}

// UnpackVestedAmount0 is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x810ec23b.
//
// Solidity: function vestedAmount(address token, uint64 timestamp) view returns(uint256)
func (vesting *Vesting) UnpackVestedAmount0(data []byte) (*big.Int, error) {
	out, err := vesting.abi.Unpack("vestedAmount0", data)
	if err != nil {
		return new(big.Int), err
	}
	out0 := abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	return out0, nil
}

// VestingERC20Released represents a ERC20Released event raised by the Vesting contract.
type VestingERC20Released struct {
	Token  common.Address
	Amount *big.Int
	Raw    *types.Log // Blockchain specific contextual infos
}

const VestingERC20ReleasedEventName = "ERC20Released"

// ContractEventName returns the user-defined event name.
func (VestingERC20Released) ContractEventName() string {
	return VestingERC20ReleasedEventName
}

// UnpackERC20ReleasedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event ERC20Released(address indexed token, uint256 amount)
func (vesting *Vesting) UnpackERC20ReleasedEvent(log *types.Log) (*VestingERC20Released, error) {
	event := "ERC20Released"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != vesting.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(VestingERC20Released)
	if len(log.Data) > 0 {
		if err := vesting.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range vesting.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// VestingEtherReleased represents a EtherReleased event raised by the Vesting contract.
type VestingEtherReleased struct {
	Amount *big.Int
	Raw    *types.Log // Blockchain specific contextual infos
}

const VestingEtherReleasedEventName = "EtherReleased"

// ContractEventName returns the user-defined event name.
func (VestingEtherReleased) ContractEventName() string {
	return VestingEtherReleasedEventName
}

// UnpackEtherReleasedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event EtherReleased(uint256 amount)
func (vesting *Vesting) UnpackEtherReleasedEvent(log *types.Log) (*VestingEtherReleased, error) {
	event := "EtherReleased"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != vesting.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(VestingEtherReleased)
	if len(log.Data) > 0 {
		if err := vesting.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range vesting.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// VestingOwnershipTransferred represents a OwnershipTransferred event raised by the Vesting contract.
type VestingOwnershipTransferred struct {
	PreviousOwner common.Address
	NewOwner      common.Address
	Raw           *types.Log // Blockchain specific contextual infos
}

const VestingOwnershipTransferredEventName = "OwnershipTransferred"

// ContractEventName returns the user-defined event name.
func (VestingOwnershipTransferred) ContractEventName() string {
	return VestingOwnershipTransferredEventName
}

// UnpackOwnershipTransferredEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event OwnershipTransferred(address indexed previousOwner, address indexed newOwner)
func (vesting *Vesting) UnpackOwnershipTransferredEvent(log *types.Log) (*VestingOwnershipTransferred, error) {
	event := "OwnershipTransferred"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != vesting.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(VestingOwnershipTransferred)
	if len(log.Data) > 0 {
		if err := vesting.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range vesting.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// UnpackError attempts to decode the provided error data using user-defined
// error definitions.
func (vesting *Vesting) UnpackError(raw []byte) (any, error) {
	if bytes.Equal(raw[:4], vesting.abi.Errors["FailedCall"].ID.Bytes()[:4]) {
		return vesting.UnpackFailedCallError(raw[4:])
	}
	if bytes.Equal(raw[:4], vesting.abi.Errors["InsufficientBalance"].ID.Bytes()[:4]) {
		return vesting.UnpackInsufficientBalanceError(raw[4:])
	}
	if bytes.Equal(raw[:4], vesting.abi.Errors["InvalidCliffDuration"].ID.Bytes()[:4]) {
		return vesting.UnpackInvalidCliffDurationError(raw[4:])
	}
	if bytes.Equal(raw[:4], vesting.abi.Errors["OwnableInvalidOwner"].ID.Bytes()[:4]) {
		return vesting.UnpackOwnableInvalidOwnerError(raw[4:])
	}
	if bytes.Equal(raw[:4], vesting.abi.Errors["OwnableUnauthorizedAccount"].ID.Bytes()[:4]) {
		return vesting.UnpackOwnableUnauthorizedAccountError(raw[4:])
	}
	if bytes.Equal(raw[:4], vesting.abi.Errors["SafeCastOverflowedUintDowncast"].ID.Bytes()[:4]) {
		return vesting.UnpackSafeCastOverflowedUintDowncastError(raw[4:])
	}
	if bytes.Equal(raw[:4], vesting.abi.Errors["SafeERC20FailedOperation"].ID.Bytes()[:4]) {
		return vesting.UnpackSafeERC20FailedOperationError(raw[4:])
	}
	return nil, errors.New("Unknown error")
}

// VestingFailedCall represents a FailedCall error raised by the Vesting contract.
type VestingFailedCall struct {
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error FailedCall()
func VestingFailedCallErrorID() common.Hash {
	return common.HexToHash("0xd6bda27508c0fb6d8a39b4b122878dab26f731a7d4e4abe711dd3731899052a4")
}

// UnpackFailedCallError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error FailedCall()
func (vesting *Vesting) UnpackFailedCallError(raw []byte) (*VestingFailedCall, error) {
	out := new(VestingFailedCall)
	if err := vesting.abi.UnpackIntoInterface(out, "FailedCall", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// VestingInsufficientBalance represents a InsufficientBalance error raised by the Vesting contract.
type VestingInsufficientBalance struct {
	Balance *big.Int
	Needed  *big.Int
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error InsufficientBalance(uint256 balance, uint256 needed)
func VestingInsufficientBalanceErrorID() common.Hash {
	return common.HexToHash("0xcf4791818fba6e019216eb4864093b4947f674afada5d305e57d598b641dad1d")
}

// UnpackInsufficientBalanceError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error InsufficientBalance(uint256 balance, uint256 needed)
func (vesting *Vesting) UnpackInsufficientBalanceError(raw []byte) (*VestingInsufficientBalance, error) {
	out := new(VestingInsufficientBalance)
	if err := vesting.abi.UnpackIntoInterface(out, "InsufficientBalance", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// VestingInvalidCliffDuration represents a InvalidCliffDuration error raised by the Vesting contract.
type VestingInvalidCliffDuration struct {
	CliffSeconds    uint64
	DurationSeconds uint64
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error InvalidCliffDuration(uint64 cliffSeconds, uint64 durationSeconds)
func VestingInvalidCliffDurationErrorID() common.Hash {
	return common.HexToHash("0x3be3ef50e48712272cd9fa00a78aa363d9051d5e5c8fd89f545748e216737001")
}

// UnpackInvalidCliffDurationError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error InvalidCliffDuration(uint64 cliffSeconds, uint64 durationSeconds)
func (vesting *Vesting) UnpackInvalidCliffDurationError(raw []byte) (*VestingInvalidCliffDuration, error) {
	out := new(VestingInvalidCliffDuration)
	if err := vesting.abi.UnpackIntoInterface(out, "InvalidCliffDuration", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// VestingOwnableInvalidOwner represents a OwnableInvalidOwner error raised by the Vesting contract.
type VestingOwnableInvalidOwner struct {
	Owner common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error OwnableInvalidOwner(address owner)
func VestingOwnableInvalidOwnerErrorID() common.Hash {
	return common.HexToHash("0x1e4fbdf7f3ef8bcaa855599e3abf48b232380f183f08f6f813d9ffa5bd585188")
}

// UnpackOwnableInvalidOwnerError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error OwnableInvalidOwner(address owner)
func (vesting *Vesting) UnpackOwnableInvalidOwnerError(raw []byte) (*VestingOwnableInvalidOwner, error) {
	out := new(VestingOwnableInvalidOwner)
	if err := vesting.abi.UnpackIntoInterface(out, "OwnableInvalidOwner", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// VestingOwnableUnauthorizedAccount represents a OwnableUnauthorizedAccount error raised by the Vesting contract.
type VestingOwnableUnauthorizedAccount struct {
	Account common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error OwnableUnauthorizedAccount(address account)
func VestingOwnableUnauthorizedAccountErrorID() common.Hash {
	return common.HexToHash("0x118cdaa7a341953d1887a2245fd6665d741c67c8c50581daa59e1d03373fa188")
}

// UnpackOwnableUnauthorizedAccountError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error OwnableUnauthorizedAccount(address account)
func (vesting *Vesting) UnpackOwnableUnauthorizedAccountError(raw []byte) (*VestingOwnableUnauthorizedAccount, error) {
	out := new(VestingOwnableUnauthorizedAccount)
	if err := vesting.abi.UnpackIntoInterface(out, "OwnableUnauthorizedAccount", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// VestingSafeCastOverflowedUintDowncast represents a SafeCastOverflowedUintDowncast error raised by the Vesting contract.
type VestingSafeCastOverflowedUintDowncast struct {
	Bits  uint8
	Value *big.Int
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error SafeCastOverflowedUintDowncast(uint8 bits, uint256 value)
func VestingSafeCastOverflowedUintDowncastErrorID() common.Hash {
	return common.HexToHash("0x6dfcc6503a32754ce7a89698e18201fc5294fd4aad43edefee786f88423b1a12")
}

// UnpackSafeCastOverflowedUintDowncastError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error SafeCastOverflowedUintDowncast(uint8 bits, uint256 value)
func (vesting *Vesting) UnpackSafeCastOverflowedUintDowncastError(raw []byte) (*VestingSafeCastOverflowedUintDowncast, error) {
	out := new(VestingSafeCastOverflowedUintDowncast)
	if err := vesting.abi.UnpackIntoInterface(out, "SafeCastOverflowedUintDowncast", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// VestingSafeERC20FailedOperation represents a SafeERC20FailedOperation error raised by the Vesting contract.
type VestingSafeERC20FailedOperation struct {
	Token common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error SafeERC20FailedOperation(address token)
func VestingSafeERC20FailedOperationErrorID() common.Hash {
	return common.HexToHash("0x5274afe73c98b4749fc91ffae6b7b574e7842cb2144a159e9377a5f20b32edf9")
}

// UnpackSafeERC20FailedOperationError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error SafeERC20FailedOperation(address token)
func (vesting *Vesting) UnpackSafeERC20FailedOperationError(raw []byte) (*VestingSafeERC20FailedOperation, error) {
	out := new(VestingSafeERC20FailedOperation)
	if err := vesting.abi.UnpackIntoInterface(out, "SafeERC20FailedOperation", raw); err != nil {
		return nil, err
	}
	return out, nil
}
