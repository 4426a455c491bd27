package tenure

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"regexp"
	"sync"
	"time"

	"github.com/drtc-network/drtc/orchestrator/state"
	"github.com/drtc-network/drtc/orchestrator/tenure/roll"
)

// What a Keeper's methods take and return.
type (
	// Key names a room: any text that is the same for all members, such as the
	// application and the room's name.
	Key = roll.Key
	// Owner is who writes a room; nobody if Member is empty.
	Owner = roll.Owner
	// TakenError says that another member writes the room.
	TakenError = roll.TakenError
)

var (
	// ErrUsurped ends Run when another process runs under the member's name.
	ErrUsurped = errors.New("tenure: another process runs under this member's name")
	// ErrNotHeld is for rooms that this member does not hold.
	ErrNotHeld = roll.ErrNotHeld
)

// Prefixes of what members keep in the store.
const (
	// MemberPrefix is of who lives: worth nothing in a back-up.
	MemberPrefix = "tenures.member."
	// RoomPrefix is of who writes which room.
	RoomPrefix = "tenures.room."
	prefix     = "tenures."
)

const (
	writeLimit = 2 * time.Second // of one call to the store
	maxTries   = 8               // of a Take against others
	maxToken   = 400             // bytes of a key in the store
)

// Config of a Keeper. Store and Member are required.
type Config struct {
	Store state.Store
	// Member is this process's name among those of its operator, 1 to 32 of
	// a-z A-Z 0-9 _ -, the same after a restart.
	Member string
	// URL is where the other members reach this one, "http://host:port"; empty
	// for nowhere.
	URL string
	// Beat is the time between signs of life, the same for all members: 100 ms to
	// 10 s, default 1 s.
	Beat time.Duration
	Now  func() time.Time // default time.Now
	Log  *slog.Logger     // nil for none
}

var memberName = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,32}$`)

// Validate names the field that is wrong.
func (c Config) Validate() error {
	switch {
	case c.Store == nil:
		return errors.New("tenure: Store: want a store, got none")
	case !memberName.MatchString(c.Member):
		return fmt.Errorf("tenure: Member: want 1 to 32 of a-z A-Z 0-9 _ -, got %.80q", c.Member)
	case c.Beat != 0 && (c.Beat < 100*time.Millisecond || c.Beat > 10*time.Second):
		return fmt.Errorf("tenure: Beat: want 100ms to 10s, got %v", c.Beat)
	case c.URL == "":
		return nil
	}
	if u, err := url.Parse(c.URL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("tenure: URL: want http://host:port or https://host:port, got %.200q", c.URL)
	}
	return nil
}

func (c Config) withDefaults() Config {
	if c.Beat == 0 {
		c.Beat = time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// Keeper is one member. Make one with New, then call Run once.
type Keeper struct {
	config  Config
	lost    chan Key
	offered chan Key
	ready   chan struct{} // closed when the member is known and knows the others

	mu      sync.Mutex // guards what follows
	roll    *roll.Roll
	queues  queues
	wake    chan struct{}  // holds a token when there is something to tell
	beatNow chan struct{}  // a sign of life is due at once
	rooms   map[string]Key // by their keys in the store
	seen    bool           // all that was there has been read once
	joined  bool           // and the others can see this member
}

// record is what the store has of a room.
type record struct {
	Room Key `json:"room"`
	roll.Tenure
}

// queues are what the channels have not taken yet: each room at most once.
type queues struct {
	lost, offered line
	forget        []roll.Forget
}

// line is rooms in order, each once.
type line struct {
	order []Key
	in    map[Key]bool
}

func (l *line) add(room Key) {
	if l.in == nil {
		l.in = map[Key]bool{}
	}
	if !l.in[room] {
		l.in[room] = true
		l.order = append(l.order, room)
	}
}

func (l *line) drop() {
	delete(l.in, l.order[0])
	l.order = l.order[1:]
}

// New makes a member that holds nothing.
func New(c Config) (*Keeper, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	var life [12]byte
	_, _ = rand.Read(life[:]) // never fails
	c = c.withDefaults()
	return &Keeper{
		config: c, lost: make(chan Key), offered: make(chan Key),
		ready: make(chan struct{}), wake: make(chan struct{}, 1), beatNow: make(chan struct{}, 1), rooms: map[string]Key{},
		roll: roll.New(c.Member, base64.RawURLEncoding.EncodeToString(life[:]), c.URL),
	}, nil
}

// Lost tells of rooms that this member held and another has now: stop writing
// them at once, unless the term that it is written with is Owner's, since the room
// was taken again. It must be read for as long as Run runs.
func (k *Keeper) Lost() <-chan Key { return k.lost }

// Offered tells of rooms that nobody writes and this member is to take: they were
// handed to it, or their member is dead. A room may come again. It must be read
// for as long as Run runs.
func (k *Keeper) Offered() <-chan Key { return k.offered }

// Owner is who writes a room, from what has been read of the store. A member
// without term is to take it, as it was handed to it. It waits until the member
// knows the others.
func (k *Keeper) Owner(ctx context.Context, room Key) (Owner, error) {
	if err := k.wait(ctx); err != nil {
		return Owner{}, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.roll.Owner(room), nil
}

func (k *Keeper) wait(ctx context.Context) error {
	select {
	case <-k.ready:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("tenure: waiting for the store: %w", ctx.Err())
	}
}

// Take makes this member the writer of a room and returns its term, or the one
// that it has already. It fails with a TakenError if another member that lives
// has the room. After another error the room may or may not be taken: nobody
// writes it until it is taken again.
func (k *Keeper) Take(ctx context.Context, room Key) (term uint64, err error) {
	if err := k.wait(ctx); err != nil {
		return 0, err
	}
	for range maxTries {
		ctx, cancel := context.WithTimeout(ctx, writeLimit)
		term, err = k.attempt(ctx, room)
		cancel()
		if !errors.Is(err, state.ErrConflict) && !errors.Is(err, state.ErrExists) {
			break
		}
	}
	if err != nil {
		return 0, fmt.Errorf("tenure: taking a room: %w", err)
	}
	return term, nil
}

// attempt reads, decides and writes once.
func (k *Keeper) attempt(ctx context.Context, room Key) (uint64, error) {
	read, revision, err := k.read(ctx, room)
	if err != nil {
		return 0, err
	}
	if err := k.meet(ctx, read); err != nil {
		return 0, err
	}
	k.mu.Lock()
	claim, needed, err := k.roll.Claim(k.config.Now(), room, read, revision)
	k.mu.Unlock()
	if err != nil || !needed {
		return claim.Term, err
	}
	return k.put(ctx, room, claim, revision)
}

// meet asks the store for the member that has a room if the watch has not told of
// it yet.
func (k *Keeper) meet(ctx context.Context, t roll.Tenure) error {
	k.mu.Lock()
	known := t.Member == "" || k.roll.Knows(t.Member, t.Life)
	k.mu.Unlock()
	if known {
		return nil
	}
	e, err := k.config.Store.Get(ctx, MemberPrefix+t.Member)
	if errors.Is(err, state.ErrNotFound) {
		return nil
	}
	if err == nil {
		k.take(state.Event{Kind: state.Put, Entry: e})
	}
	return err
}

// put writes a claim and holds the room if the store took it.
func (k *Keeper) put(ctx context.Context, room Key, claim roll.Tenure, over uint64) (uint64, error) {
	revision, err := k.write(ctx, keyOf(room), record{room, claim}, over)
	if err != nil {
		return 0, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	err = k.roll.Took(room, claim, revision)
	k.rooms[keyOf(room)] = room
	k.collect()
	return claim.Term, err
}

// read returns what the store has of a room, nothing at revision 0.
func (k *Keeper) read(ctx context.Context, room Key) (t roll.Tenure, revision uint64, err error) {
	e, err := k.config.Store.Get(ctx, keyOf(room))
	if errors.Is(err, state.ErrNotFound) {
		return t, 0, nil
	}
	if err != nil {
		return t, 0, err
	}
	var v record
	if err := json.Unmarshal(e.Value, &v); err != nil {
		return t, 0, fmt.Errorf("%s: %w", e.Key, err)
	}
	return v.Tenure, e.Revision, nil
}

// Release hands a room to another member, or to whoever wants it if to is empty.
// The room must not be written any more when it is called. If the store can't be
// reached, the room waits until it is asked for.
func (k *Keeper) Release(ctx context.Context, room Key, to string) error {
	return k.leave(ctx, room, to, func(ctx context.Context, free roll.Tenure, over uint64) error {
		_, err := k.write(ctx, keyOf(room), record{room, free}, over)
		return err
	})
}

// End removes what is known of a room that has ended.
func (k *Keeper) End(ctx context.Context, room Key) error {
	return k.leave(ctx, room, "", func(ctx context.Context, _ roll.Tenure, over uint64) error {
		return k.config.Store.Delete(ctx, keyOf(room), over)
	})
}

func (k *Keeper) leave(ctx context.Context, room Key, to string, write func(context.Context, roll.Tenure, uint64) error) error {
	k.mu.Lock()
	free, revision, err := k.roll.Leave(room, to)
	k.mu.Unlock()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, writeLimit)
	defer cancel()
	if err := write(ctx, free, revision); err != nil && !errors.Is(err, state.ErrConflict) { // a conflict: another has it
		return fmt.Errorf("tenure: leaving a room: %w", err)
	}
	return nil
}

// Fenced is to be called when a Media Node or the room's own record knows a
// higher term, over, or when in doubt with 0. It asks the store: if this member
// still has the room, the term is made higher than over and returned; if not, the
// room comes on Lost and the error is a TakenError.
func (k *Keeper) Fenced(ctx context.Context, room Key, over uint64) (term uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, writeLimit)
	defer cancel()
	read, revision, err := k.read(ctx, room)
	if err != nil {
		return 0, fmt.Errorf("tenure: looking after a room: %w", err)
	}
	k.mu.Lock()
	claim, held, needed, err := k.roll.Raise(k.config.Now(), room, over)
	if err == nil && held != revision {
		k.roll.Drop(room)
		k.collect()
		err = &TakenError{Owner: Owner{Member: read.Member, Term: read.Term}}
	}
	k.mu.Unlock()
	if err != nil || !needed {
		return claim.Term, err
	}
	if term, err = k.put(ctx, room, claim, held); err != nil {
		return 0, fmt.Errorf("tenure: raising a term: %w", err)
	}
	return term, nil
}

// Held returns the rooms that this member writes, in order.
func (k *Keeper) Held() []Key {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.roll.Keys()
}

// Members returns the names of all members who live, in order.
func (k *Keeper) Members() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.roll.Members()
}

// Spare says how many rooms this member has more than its share, by more than a
// fifth, and which member has the fewest: for hand-overs that balance.
func (k *Keeper) Spare() (rooms int, to string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.roll.Spare()
}

// Retire says to the others that this member ends, as soon as the store takes it:
// they hand it no rooms, and it is offered none. It does not wait.
func (k *Keeper) Retire() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.roll.Retire()
	select {
	case k.beatNow <- struct{}{}:
	default: // it is said already
	}
}

// Heir is the other member to whom this one hands a room when it ends; empty if
// it is alone.
func (k *Keeper) Heir(room Key) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.roll.Heir(room, k.config.Member)
}

// write creates or replaces a record.
func (k *Keeper) write(ctx context.Context, key string, value any, over uint64) (uint64, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return 0, err
	}
	if over == 0 {
		return k.config.Store.Create(ctx, key, text)
	}
	return k.config.Store.Update(ctx, key, text, over)
}

// keyOf is the key in the store.
func keyOf(room Key) string {
	token := state.Token(string(room))
	if len(token) > maxToken {
		sum := sha256.Sum256([]byte(room))
		token = "-" + base64.RawURLEncoding.EncodeToString(sum[:])
	}
	return RoomPrefix + token
}
