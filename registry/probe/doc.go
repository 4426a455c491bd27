// Package probe dials Media Nodes from outside (whitepaper section 4.2.3) and
// guards every call that a Registry makes to an address that somebody else chose.
//
// Contract: a dial that is answered has talked to a live process, which for an
// https URL holds the key of the certificate in the node's record; nothing is
// ever sent to an address that Guard refuses.
//
// Whoever registers a node chooses its URL, so a Registry could be made to call
// into the network that it stands in (SSRF). A name is resolved once, every
// address that it has is checked, and the connection goes to a checked address,
// never to the name again; redirects are not followed and the environment's
// proxy is not used.
//
// The round trip is measured by the TCP connection, from SYN to SYN-ACK: the
// node's kernel answers that, whatever the load of the process.
//
// All types are safe for concurrent use.
package probe
