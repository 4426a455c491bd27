// Package compound reads and writes compound RTCP packets (RFC 3550 section
// 6.1; feedback messages of RFC 4585 and RFC 5104; whitepaper section 4.3)
// without allocating: a subscriber sends twenty feedback messages a second, so
// a node with hundreds of them reads thousands.
//
// Contract: a Reader yields each packet of a well-formed compound once, in
// order, and nothing of one whose lengths do not add up; a packet whose body is
// too short for what its header promises is yielded as Malformed.
//
//	 0                   1                   2                   3
//	 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//	+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//	|V=2|P|RC or FMT|      PT       |   length in words, minus one  |
//	|                     SSRC of packet sender                     |
//	|  ...                                                          |
//	+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+
//	|V=2|P|  ...           the next packet                          |
//
// What a Packet returns points into the bytes that were read. Values are plain;
// nothing here is safe for concurrent use while those bytes change.
package compound
