// Package compare runs the same load on several servers by turns and prints
// one table: the network of this repository, a bare SFU of pion (package
// reference), the cheapest possible sender (package floor), and another server
// that is given as a binary.
//
// Contract: every figure of a table comes from one session on one machine, each
// server fresh for every run and its process measured alone; when Run returns
// no child is left.
//
// Rounds go over all shapes and servers, and begin with another server each
// time, so that what else happens on the machine strikes everybody alike. A
// figure is the median of the rounds, with the least and the greatest.
//
// It stands beside the three roles (whitepaper 4). Run is called once at a time.
package compare
