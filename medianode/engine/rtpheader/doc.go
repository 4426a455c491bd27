// Package rtpheader reads and writes RTP headers in place (RFC 3550 section
// 5.1, header extensions of RFC 8285; whitepaper section 4.3).
//
// Contract: a Header returned without error has offsets that lie in the packet
// it was read from, so that slicing with them cannot fail on that packet.
//
//	 0                   1                   2                   3
//	 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//	+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//	|V=2|P|X|  CC   |M|     PT      |       sequence number         |
//	|                           timestamp                           |
//	|           synchronization source (SSRC)                       |
//	|           contributing sources (CC words)                     |
//	|  extension profile            |  length in words              |
//
// Nothing here allocates. Values are plain and safe for concurrent reading.
package rtpheader
