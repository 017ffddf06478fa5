//! Connections: opening one where a slot is free, handshakes, keep-alive and connection reuse,
//! closing.

use std::cmp::Reverse;
use std::io;
use std::sync::Arc;

use rustix::event::epoll;
use rustix::io::Errno;

use super::super::task::{TargetSide, bump, lower};
use super::{Failure, FailureKind, Wake, Worker};
use crate::outcome::Owner;
use crate::replay::session::connection::{Phase, TargetConnection};
use crate::replay::session::h1::One;
use crate::replay::session::h2::Two;
use crate::replay::session::socket::{Handshake, Socket};
use crate::replay::session::{Session, Spoken, tls};
use crate::replay::worker::lane::Arrivals;

/// How long a new connection is listened to before it is used, where v2 is known to speak first: so
/// that what it says is not taken for an answer.
const LISTEN_NS: i64 = 5_000_000;
/// Why a request of HTTP/2 fails where v2 speaks HTTP/1.
pub(super) const NOT_TWO: &str = "v2 speaks HTTP/1.1, not HTTP/2: --allow-downgrade sends HTTP/1.1 \
                                  where it must, --protocol h1 everywhere";
/// Why a request of HTTP/1 fails where v2 speaks HTTP/2.
pub(super) const NOT_ONE: &str = "v2 speaks HTTP/2, not HTTP/1.1: --protocol h2 sends HTTP/2";
/// How long until a lane asks for a local port again.
const PORT_AGAIN_NS: i64 = 10_000_000;
/// Among so many idle connections one is looked for that nobody will need any more.
const SPENT_AMONG: usize = 64;

impl Worker<'_> {
    /// Opens a connection for a lane, or puts the lane in line for one. `false`: it failed at once,
    /// and so did the lane's next request.
    pub(super) fn open(&mut self, at: usize, now: i64) -> bool {
        if self.slots == 0 && !self.evict() {
            let generation = self.lanes.generation(at);
            if !std::mem::replace(&mut self.lanes.get(at).queued_for_slot, true) {
                self.figures.note("waited-for-a-connection-slot");
                self.waiting_for_slot.push_back((at, generation));
            }
            return true;
        }
        let lane = self.lanes.get(at);
        let target =
            &self.shared.targets[usize::from(lane.upstream).min(self.shared.targets.len() - 1)];
        let (side, upstream, spoken) = (lane.side, lane.upstream, lane.spoken);
        let (is_core, announced) = (lane.is_core, lane.announced);
        let address = target.address(lane.number);
        let source = self.shared.sources.of(address, lane.number);
        let (index, generation) = match Socket::connect(address, source) {
            Ok(socket) => {
                let session = self.session((side, upstream), spoken, is_core, announced);
                self.connections.insert(TargetConnection::new(at, upstream, socket, session, now))
            }
            Err(error) => return self.no_socket(at, &error, now),
        };
        let flags = epoll::EventFlags::IN
            | epoll::EventFlags::OUT
            | epoll::EventFlags::RDHUP
            | epoll::EventFlags::ET;
        let data = epoll::EventData::new_u64(index as u64 | u64::from(generation) << 32);
        if let Err(error) =
            epoll::add(&self.epoll, &self.connections.get(index).socket, data, flags)
        {
            self.connections.remove(index);
            return self.no_socket(at, &error.into(), now);
        }
        self.slots -= 1;
        self.ports.opened(now);
        let lane = self.lanes.get(at);
        lane.connections.push(index);
        if lane.opened > 0 && self.shared.arrivals == Arrivals::Causal {
            self.figures.note("reopened-connections");
        }
        lane.opened += 1;
        self.figures.note("connections");
        bump(&self.live().connections);
        self.figures.peak_connections =
            self.figures.peak_connections.max(self.connections.len() as u64);
        self.arm(index, now + self.shared.timeout_ns);
        true
    }

    /// A session for a new connection, of a protocol that its end is known to speak.
    fn session(
        &self,
        (side, upstream): (TargetSide, u16),
        spoken: Spoken,
        is_core: bool,
        announced: u16,
    ) -> (Spoken, Box<dyn Session>) {
        match self.shared.spoken(upstream, spoken) {
            Spoken::One => {
                let pacing = self.shared.two.pacing;
                (Spoken::One, Box::new(One::new(side, self.shared.max_body, pacing)))
            }
            Spoken::Two => {
                let announced = Some(announced).filter(|&number| number > 0);
                let announced = announced.and_then(|at| self.shared.announced.get(usize::from(at)));
                (Spoken::Two, Box::new(Two::new(self.shared.two.speaking(announced, is_core))))
            }
        }
    }

    /// Closes a connection that nobody needs now, for one that somebody needs: best one that nobody
    /// will need any more.
    fn evict(&mut self) -> bool {
        if !self.maybe_idle {
            return false;
        }
        let (mut found, mut more) = (None, SPENT_AMONG);
        for at in self.connections.indices() {
            let connection = self.connections.peek(at).expect("the index is of a tenant");
            let lane = self.lanes.peek(connection.lane);
            if !connection.is_idle() || lane.is_some_and(|lane| !lane.queue.is_empty()) {
                continue;
            }
            if lane.is_none_or(|lane| lane.spent) {
                found = Some(at);
                break;
            }
            found = found.or(Some(at));
            more -= 1;
            if more == 0 {
                break;
            }
        }
        let Some(at) = found else {
            self.maybe_idle = false;
            return false;
        };
        self.figures.note("evicted-idle-connections");
        self.close(at);
        true
    }

    /// Lanes that waited for a slot look again.
    pub(super) fn serve_waiting(&mut self) {
        for _ in 0..self.waiting_for_slot.len() {
            if self.slots == 0 && !self.evict() {
                return;
            }
            let Some((at, generation)) = self.waiting_for_slot.pop_front() else { return };
            if self.lanes.holds(at, generation) {
                self.lanes.get(at).queued_for_slot = false;
                if self.lanes.get(at).queue.is_empty() {
                    // It only wanted to be early: it opens with its first request.
                    continue;
                }
                let now = self.now();
                self.pump(at, now);
            }
        }
    }

    pub(super) fn close(&mut self, at: usize) {
        let Some(connection) = self.connections.remove(at) else { return };
        if self.ports.are_few {
            // The port is free at once, and not a minute later (RFC 9293 §3.6.1: TIME-WAIT).
            connection.socket.reset_at_close();
        }
        let _ = epoll::delete(&self.epoll, &connection.socket);
        self.lanes.get(connection.lane).connections.retain(|&other| other != at);
        self.slots += 1;
        lower(&self.live().connections);
    }

    /// Looks at a connection's waits at this time, or earlier where that is settled already.
    pub(super) fn arm(&mut self, at: usize, when: i64) {
        let generation = self.connections.generation(at);
        let connection = self.connections.get(at);
        if when < connection.armed {
            connection.armed = when;
            self.timers.push(Reverse((when, Wake::Deadline(at, generation))));
        }
    }

    /// `speaks`: bytes came with it.
    pub(super) fn connected(&mut self, at: usize, speaks: bool) {
        let now = self.now();
        let connection = self.connections.get(at);
        if let Err(error) = connection.socket.connected() {
            return self.not_opened(at, not_connected(&error), now);
        }
        let target = &self.shared.targets[usize::from(connection.upstream)];
        if !target.tls {
            return self.opened(at, speaks, now);
        }
        let lane = connection.lane;
        let name = self.lanes.get(lane).name;
        let host = self.shared.names.get(name as usize).map_or("", |name| &**name);
        let name = self.shared.sni.name(host, target);
        let (Some(configs), Some(name)) = (&self.shared.tls, name) else {
            let failure = Failure::new(FailureKind::Tls, "no server name to ask for: --sni NAME");
            return self.not_opened(at, failure.of(Owner::Settings), now);
        };
        let connection = self.connections.get(at);
        let config = match connection.spoken {
            Spoken::One => &configs[0],
            Spoken::Two => &configs[1],
        };
        if let Err(error) = connection.socket.start_tls(Arc::clone(config), name) {
            return self.not_opened(at, Failure::new(FailureKind::Tls, error.to_string()), now);
        }
        connection.phase = Phase::Handshaking;
        self.handshake(at);
    }

    pub(super) fn handshake(&mut self, at: usize) {
        let now = self.now();
        match self.connections.get(at).socket.handshake() {
            Ok(Handshake::Going) => {}
            // Bytes behind the handshake may have come with it, and no edge will tell of them.
            Ok(Handshake::Done) => self.agreed(at, now),
            Err(error) => self.not_opened(at, tls::failure(&error), now),
        }
    }

    /// The TLS session is there: whether v2 agreed on the protocol (RFC 7301).
    fn agreed(&mut self, at: usize, now: i64) {
        let connection = self.connections.get(at);
        if connection.spoken == Spoken::Two && connection.socket.agreed() != Some(b"h2") {
            let (upstream, lane) = (connection.upstream, connection.lane);
            if !self.shared.downgrade(upstream) {
                let failure = Failure::new(FailureKind::Protocol, NOT_TWO);
                return self.not_opened(at, failure, now);
            }
            self.figures.note("downgraded-to-http-1");
            let side = self.lanes.get(lane).side;
            let (spoken, session) = self.session((side, upstream), Spoken::One, false, 0);
            let connection = self.connections.get(at);
            (connection.spoken, connection.session) = (spoken, session);
        }
        self.opened(at, true, now);
    }

    fn opened(&mut self, at: usize, speaks: bool, now: i64) {
        let connection = self.connections.get(at);
        self.maybe_idle = true;
        connection.phase = Phase::Open;
        connection.ready = now;
        connection.connect_ns = Some(now - connection.started);
        let lane = connection.lane;
        if self.speaks_first[usize::from(connection.upstream)] {
            connection.listens_until = now + LISTEN_NS;
            connection.ready = connection.listens_until;
            let generation = self.lanes.generation(lane);
            self.timers.push(Reverse((now + LISTEN_NS, Wake::Lane(lane, generation))));
        }
        if speaks {
            let generation = self.connections.generation(at);
            self.read(at, false);
            if !self.connections.holds(at, generation) {
                return;
            }
        }
        let generation = self.connections.generation(at);
        self.pump(lane, now);
        if self.connections.holds(at, generation) && self.connections.get(at).session.is_writing() {
            // What stands before the first request, where that is not due yet.
            self.write_on(at, false);
        }
    }

    /// A connection could not be opened: the request that waits for it fails.
    pub(super) fn not_opened(&mut self, at: usize, failure: Failure, now: i64) {
        let lane = self.connections.get(at).lane;
        self.close(at);
        self.figures.note("connections-not-opened");
        self.fail_front(lane, failure, now);
        self.pump(lane, now);
    }

    /// There is no socket. Where it is a local port that is wanting, the lane asks again soon, for
    /// as long as a connection may take; else its next request fails. `false` where it failed.
    fn no_socket(&mut self, at: usize, error: &io::Error, now: i64) -> bool {
        let errno = error.raw_os_error().map(Errno::from_raw_os_error);
        let wants_port = matches!(errno, Some(Errno::ADDRNOTAVAIL | Errno::ADDRINUSE));
        let lane = self.lanes.get(at);
        let since = lane.queue.front().map_or(now, |task| task.due);
        if wants_port && now - since < self.shared.timeout_ns {
            self.ports.are_scarce();
            self.figures.note("waited-for-a-local-port");
            let generation = self.lanes.generation(at);
            self.timers.push(Reverse((now + PORT_AGAIN_NS, Wake::Lane(at, generation))));
            return true;
        }
        self.fail_front(at, not_connected(error), now);
        false
    }
}

/// Why there is no connection, in words that help.
fn not_connected(error: &io::Error) -> Failure {
    let (detail, owner) = match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::MFILE | Errno::NFILE) => (
            "no file descriptor is left: raise the limit (ulimit -n) or lower --max-connections",
            Owner::Replayer,
        ),
        // The kernel says the one of a range that is used up, the other of a port that is bound.
        Some(Errno::ADDRNOTAVAIL | Errno::ADDRINUSE) => (
            "no local port is left: widen net.ipv4.ip_local_port_range, add target addresses, or \
             lower the rate of connections",
            Owner::Replayer,
        ),
        Some(Errno::PERM | Errno::ACCESS) => {
            ("this machine's own rules forbid the connection", Owner::Replayer)
        }
        _ => return Failure::new(FailureKind::Connect, error.to_string()),
    };
    Failure::new(FailureKind::Connect, detail).of(owner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_machine_lacks_is_not_v2s_failure_and_says_how_to_mend_it() {
        for (error, flag) in [
            (Errno::ADDRNOTAVAIL, "no local port is left: widen"),
            (Errno::ADDRINUSE, "no local port is left: widen"),
            (Errno::MFILE, "ulimit -n"),
            (Errno::NFILE, "--max-connections"),
            (Errno::PERM, "this machine's own rules"),
        ] {
            let failure = not_connected(&error.into());
            assert!(failure.detail.contains(flag), "{failure:?}");
            assert_eq!(failure.owner, Some(Owner::Replayer));
        }
        assert_eq!(not_connected(&Errno::CONNREFUSED.into()).owner, None);
    }
}
