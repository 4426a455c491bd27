// Package ledger holds a Registry's records: the Set of registry/record under a
// lock, on disk, and told to whoever follows it (whitepaper section 4.2.2).
//
// Contract: when Submit returns without an error the record is on disk, and the
// Observer has been told; what came from other Registries is merged when Take
// returns and on disk soon after. The Observer hears of changes in the order in
// which the disk got them.
//
//	Submit, Take        one lock            one writer          Observer
//	  judge ---------> verify ---> merge ---> open batch ---> commit ---> Changed
//	  (cheap, locked)  (unlocked)  (locked)      |                           |
//	                                              +--- those who wait wake ---+
//
// Many updates share one wait for the disk: while a batch is committed the next
// one fills. A batch in which somebody waits is committed at once and synced;
// one of records from other Registries gathers for a while and is not, because
// the network still has them. A Ledger is safe for concurrent use.
package ledger
