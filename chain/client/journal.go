package client

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"syscall"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
)

// maxDone is how many finished intents a journal remembers: an id that is older may
// be used again without being recognised.
const maxDone = 20000

// The journal is a file of lines, each a record as JSON, synced before what it
// says is done. A last line without an end is what a crash left, and nothing.
type record struct {
	Account *account `json:"account,omitempty"` // the first
	Intent  *kept    `json:"intent,omitempty"`
	Attempt *attempt `json:"attempt,omitempty"`
	Done    *Outcome `json:"done,omitempty"`
}

// account is whose journal it is.
type account struct {
	Chain   *big.Int       `json:"chain"`
	Address common.Address `json:"address"`
}

// kept is an intent that has its nonce.
type kept struct {
	ID    string          `json:"id"`
	Nonce uint64          `json:"nonce"`
	To    *common.Address `json:"to,omitempty"`
	Data  hexutil.Bytes   `json:"data,omitempty"`
	Value *big.Int        `json:"value"`
	Gas   uint64          `json:"gas"`
}

// attempt is one transaction of an intent.
type attempt struct {
	ID   string        `json:"id"`
	Hash common.Hash   `json:"hash"`
	Raw  hexutil.Bytes `json:"raw"`
	Fees fees          `json:"fees"`
}

// Outcome is how an intent ended: one of its transactions is in a settled block.
type Outcome struct {
	ID    string      `json:"id"`
	Nonce uint64      `json:"nonce"`
	Hash  common.Hash `json:"hash"`
	Block uint64      `json:"block"`
	// OK is false when the contract refused in the block, after all.
	OK bool `json:"ok"`
	// Taken says that there is no such transaction: the nonce was used by somebody
	// else who has the key, so the intent has no effect.
	Taken bool `json:"taken,omitempty"`
}

// pending is an intent that has not ended.
type pending struct {
	kept
	attempts []attempt
}

// state is what a journal says.
type state struct {
	account account
	pending map[string]*pending
	done    map[string]Outcome
	order   []string // of done
}

func newState(a account) *state {
	return &state{account: a, pending: make(map[string]*pending), done: make(map[string]Outcome)}
}

// apply refuses a record that cannot follow on what was before.
func (s *state) apply(r record) error {
	switch {
	case r.Intent != nil:
		s.pending[r.Intent.ID] = &pending{kept: *r.Intent}
	case r.Attempt != nil:
		p := s.pending[r.Attempt.ID]
		if p == nil {
			return fmt.Errorf("an attempt of %q, which is not open", r.Attempt.ID)
		}
		p.attempts = append(p.attempts, *r.Attempt)
	case r.Done != nil:
		if _, ok := s.done[r.Done.ID]; !ok {
			s.order = append(s.order, r.Done.ID)
		}
		delete(s.pending, r.Done.ID)
		s.done[r.Done.ID] = *r.Done
		if len(s.order) > maxDone {
			delete(s.done, s.order[0])
			s.order = s.order[1:]
		}
	}
	return nil
}

// records are those that make s.
func (s *state) records() []record {
	out := []record{{Account: &s.account}}
	for _, id := range s.order {
		done := s.done[id]
		out = append(out, record{Done: &done})
	}
	for _, p := range s.pending {
		out = append(out, record{Intent: &p.kept})
		for _, a := range p.attempts {
			out = append(out, record{Attempt: &a})
		}
	}
	return out
}

// journal is an open one, locked against other processes.
type journal struct {
	file *os.File
	*state
}

// openJournal reads the journal at path, or makes it, and writes it anew without
// what is no longer of use.
func openJournal(path string, a account) (*journal, error) {
	lock, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("client: journal: %w", err)
	}
	defer lock.Close() // the new file has a lock of its own
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, fmt.Errorf("client: journal: %s is in use by another process: %w", path, err)
	}
	s, err := readJournal(lock, a)
	if err != nil {
		return nil, fmt.Errorf("client: journal: %s: %w", path, err)
	}
	file, err := rewrite(path, s)
	if err != nil {
		return nil, fmt.Errorf("client: journal: %w", err)
	}
	return &journal{file, s}, nil
}

func readJournal(file *os.File, a account) (*state, error) {
	s := newState(a)
	lines := bufio.NewReader(file)
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if err != nil { // the end, and perhaps half a line
			return s, nil
		}
		var r record
		if err := json.Unmarshal(line, &r); err == nil && r.Account != nil && n == 1 {
			if r.Account.Chain == nil || r.Account.Chain.Cmp(a.Chain) != 0 || r.Account.Address != a.Address {
				return nil, fmt.Errorf("it is of account %s on chain %s, not of %s on %s",
					r.Account.Address, r.Account.Chain, a.Address, a.Chain)
			}
		} else if err = errors.Join(err, s.apply(r)); err != nil {
			return nil, fmt.Errorf("line %d is damaged: %w", n, err)
		}
	}
}

// rewrite makes the file at path hold s, in one step, and opens it for more.
func rewrite(path string, s *state) (*os.File, error) {
	fresh, err := os.OpenFile(path+".new", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(fresh.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	var text bytes.Buffer
	for _, r := range s.records() {
		err = errors.Join(err, json.NewEncoder(&text).Encode(r))
	}
	if err == nil {
		_, err = fresh.Write(text.Bytes())
	}
	if err == nil {
		err = fresh.Sync()
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err == nil {
		err = syncFolder(filepath.Dir(path))
	}
	if err != nil {
		return nil, errors.Join(err, fresh.Close())
	}
	return fresh, nil
}

// syncFolder puts a rename on disk.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	defer folder.Close()
	if err := folder.Sync(); err != nil && !errors.Is(err, fs.ErrInvalid) {
		return err
	}
	return nil
}

// write puts records on disk and only then believes them.
func (j *journal) write(records ...record) error {
	var text bytes.Buffer
	for _, r := range records {
		if err := json.NewEncoder(&text).Encode(r); err != nil {
			return fmt.Errorf("client: journal: %w", err)
		}
	}
	if _, err := j.file.Write(text.Bytes()); err != nil {
		return fmt.Errorf("client: journal: %w", err)
	}
	if err := j.file.Sync(); err != nil {
		return fmt.Errorf("client: journal: %w", err)
	}
	for _, r := range records {
		if err := j.apply(r); err != nil {
			return fmt.Errorf("client: journal: %w", err)
		}
	}
	return nil
}
