// Package reference holds econ and qos against files of cases that an independent
// implementation computed: a file's name decides the rule, each case gives
// arguments and results (whitepaper 2.3, 3 and 4.3.8; spec/economics.md and
// spec/qos.md).
//
// A file is a JSON object with a "spec" in words, a "tolerance" and "cases".
// Amounts are decimal strings of wei, fractions "3/8", scores decimals. A field
// that the rule needs and does not find is an error that names file, case and
// field; fields that it does not know are left alone.
//
// Contract: A CASE PASSES ONLY IF EVERY VALUE IT STATES IS WITHIN THE FILE'S
// TOLERANCE; a file without cases does not pass.
//
// The package is a core: it takes bytes. Functions are safe for concurrent use.
package reference
