// Package repocheck holds the rules of this tree as ordinary Go tests: which
// package may import which, what a core may not touch, which words a package
// may not be called, and what every file must or must not contain.
//
// The contract in one sentence: every package of the module is classified in
// packages.go, and every rule reads that one list.
//
// Import rules run over the output of "go list -deps", so a forbidden package
// is found behind any number of steps, and the message prints the steps. Rules
// about source run over the syntax tree, so a word in a string or a comment
// does not count as a call. Packages that do not exist yet break no rule.
//
// The rules themselves are tested against small fixtures in which they must
// fail. The package has no state; its functions may be called from any
// goroutine. Nothing outside its own tests imports it.
package repocheck
