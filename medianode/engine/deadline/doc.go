// Package deadline holds one deadline for each of many owners, so that whoever
// has nothing to do costs nothing (whitepaper section 4.3).
//
// Contract: Pop returns every owner whose deadline has come, the earliest first
// and in the order of Set where they are equal, and Next is exactly the
// earliest one.
//
// It is a binary heap whose entries lie in their owners: setting a deadline
// costs the logarithm of their number and allocates nothing once the heap has
// grown. Not safe for concurrent use.
package deadline
