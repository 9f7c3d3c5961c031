//! The connections that are open, and which of them makes room for another.

use crate::http::refusals;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::task::{AbortHandle, Id};

/// How many connections are looked at for one that can make room.
const LOOKS: usize = 64;

/// How many connections may be open beside all others, for health and metrics alone.
const RESERVE: usize = 32;

/// What a connection is doing.
#[derive(Default)]
pub struct Activity {
    /// Whether a request has arrived, with all of its headers, that is not answered.
    pub busy: AtomicBool,
    /// Whether its body has not arrived whole.
    pub arriving: AtomicBool,
    /// Whether one was answered whose body nobody read to its end.
    pub unread: AtomicBool,
    /// Whether one has arrived since a place was last looked for.
    pub used: AtomicBool,
}

impl Activity {
    /// Whether it is doing what its caller should get. Each look is paid for by a request.
    fn keeps_its_place(&self) -> bool {
        let (busy, arriving) = (self.busy.load(Ordering::Relaxed), self.arriving.load(Ordering::Relaxed));
        !arriving && (busy || self.used.swap(false, Ordering::Relaxed))
    }
}

/// How many connections may be open.
#[derive(Clone, Copy)]
pub struct Most {
    /// In all.
    pub all: usize,
    /// The key of the configuration that says so.
    pub key: &'static str,
    /// Of one peer.
    pub of_peer: usize,
}

/// What a connection may be used for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// For all.
    Any,
    /// For one request for health or metrics: all other places are taken by requests that wait for their answers.
    Reserve,
}

/// Connections that are open.
#[derive(Default)]
pub struct Places {
    open: HashMap<Id, Connection>,
    turns: Turns,
    peers: HashMap<IpAddr, Peer>,
    /// The first came first. They are in no turn, and count for no peer.
    reserve: VecDeque<Id>,
}

struct Connection {
    task: AbortHandle,
    place: Place,
    peer: Option<IpAddr>,
    activity: Arc<Activity>,
    /// How often in a row it was not busy.
    idle: u8,
}

/// Who has an address.
#[derive(Default)]
struct Peer {
    count: usize,
    turns: Turns,
}

/// Whose turn it is to make room. Some may be closed.
#[derive(Default)]
struct Turns(VecDeque<Id>);

impl Places {
    /// A place for one more of this peer, if need be that of one that waits for its next request, or for the rest of one. So health can
    /// always be asked.
    pub fn find(&mut self, peer: Option<IpAddr>, most: Most) -> Place {
        let is_full = |address: &IpAddr| self.peers.get(address).is_some_and(|peer| peer.count >= most.of_peer);
        let full_peer = peer.filter(is_full);
        let limit = match full_peer {
            Some(_) => "server.peer_connections_limit",
            None if self.open.len() - self.reserve.len() >= most.all => most.key,
            None => return Place::Any,
        };
        if self.make_room(full_peer, limit) {
            return Place::Any;
        }
        if self.reserve.len() >= RESERVE
            && let Some(first) = self.reserve.front()
        {
            self.cut(*first, limit);
        }
        Place::Reserve
    }

    /// Cuts the first connection in turn that does not keep its place: of one peer, or of all. Only a few are looked at, so that a flood of
    /// connections is no work for all that are open.
    fn make_room(&mut self, peer: Option<IpAddr>, limit: &'static str) -> bool {
        let Self { open, turns, peers, .. } = self;
        let turns = peer.and_then(|peer| peers.get_mut(&peer)).map_or(turns, |peer| &mut peer.turns);
        let idle = turns.idle(open);
        idle.inspect(|id| self.cut(*id, limit)).is_some()
    }

    fn cut(&mut self, id: Id, limit: &'static str) {
        refusals::cut(limit);
        if let Some(connection) = self.open.get(&id) {
            connection.task.abort();
        }
        self.closed(id);
    }

    /// One more is open.
    pub fn opened(&mut self, task: AbortHandle, place: Place, peer: Option<IpAddr>, activity: Arc<Activity>) {
        let id = task.id();
        let peer = peer.filter(|_| place == Place::Any);
        match place {
            Place::Any => self.turns.0.push_back(id),
            Place::Reserve => self.reserve.push_back(id),
        }
        if let Some(peer) = peer {
            let peer = self.peers.entry(peer).or_default();
            peer.count += 1;
            peer.turns.0.push_back(id);
        }
        self.open.insert(id, Connection { task, place, peer, activity, idle: 0 });
    }

    /// One is not any more.
    pub fn closed(&mut self, id: Id) {
        let Some(connection) = self.open.remove(&id) else { return };
        if connection.place == Place::Reserve {
            self.reserve.retain(|other| *other != id);
        }
        if let Some(peer) = connection.peer
            && let Entry::Occupied(mut peer) = self.peers.entry(peer)
        {
            let Peer { count, turns } = peer.get_mut();
            *count -= 1;
            turns.shorten(*count, &self.open);
            if *count == 0 {
                peer.remove();
            }
        }
        self.turns.shorten(self.open.len(), &self.open);
    }

    /// Cuts each that was not busy at two looks in a row.
    pub fn look(&mut self) {
        for connection in self.open.values_mut() {
            let busy = connection.activity.busy.load(Ordering::Relaxed);
            connection.idle = if busy { 0 } else { connection.idle.saturating_add(1) };
            if connection.idle == 2 {
                connection.task.abort();
            }
        }
    }
}

impl Turns {
    /// The first that does not keep its place.
    fn idle(&mut self, open: &HashMap<Id, Connection>) -> Option<Id> {
        for _ in 0..LOOKS {
            let id = self.0.pop_front()?;
            let Some(connection) = open.get(&id) else { continue };
            if !connection.activity.keeps_its_place() {
                return Some(id);
            }
            self.0.push_back(id);
        }
        None
    }

    /// Leaves those out that are closed, if they are many beside the `count` that are open.
    fn shorten(&mut self, count: usize, open: &HashMap<Id, Connection>) {
        if self.0.len() > 2 * count + LOOKS {
            self.0.retain(|id| open.contains_key(id));
        }
    }
}

/// The peer at an address. Of IPv6, one has a whole network (RFC 6177).
pub fn peer(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_has_an_address_or_a_network() {
        for (address, expected) in [
            ("192.0.2.1", "192.0.2.1"),
            ("192.0.2.2", "192.0.2.2"),
            ("2001:db8::1", "2001:db8::"),
            ("2001:db8:0:0:ffff:ffff:ffff:ffff", "2001:db8::"),
            ("2001:db8:0:1::1", "2001:db8:0:1::"),
            ("::1", "::"),
        ] {
            assert_eq!(peer(address.parse().expect("an address")).to_string(), expected, "{address}");
        }
    }
}
