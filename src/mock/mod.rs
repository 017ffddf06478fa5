//! The recorded providers, for v2's egress: answers v2's outgoing calls from the recording, never calls anybody itself, and
//! keeps the account of what v2 called beside what v1 called (`ledger`).

pub mod ledger;
