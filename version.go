package drtc

// Version is the software version that nodes put into their records and that
// every role prints. It follows semantic versioning.
const Version = "0.1.0"
