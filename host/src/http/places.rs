//! The connections that are open, and which of them makes room for another.

use crate::http::activity::{Activity, Worth};
use crate::http::refusals;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::task::{AbortHandle, Id};

/// How many connections are looked at for one that can make room.
const LOOKS: usize = 64;

/// How many connections may be open beside all others, for health and metrics alone.
const RESERVE: usize = 32;

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
    /// At how many looks in a row it did nothing.
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
        let order = |id: &&Id| self.open.get(id).map(|connection| connection.activity.in_reserve());
        if self.reserve.len() >= RESERVE
            && let Some(first) = self.reserve.iter().min_by_key(order)
        {
            self.cut(*first, limit);
        }
        Place::Reserve
    }

    /// Cuts the first connection in turn that is idle: of one peer, or of all. Only a few are looked at, so that a flood of connections is no
    /// work for all that are open.
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

    /// Cuts each that did nothing at two looks in a row, since an answer is written a moment after the request is done. One whose answer is
    /// on its way is cut only when it is `late`.
    pub fn look(&mut self, late: bool) {
        for connection in self.open.values_mut() {
            let Activity { busy, leaving, .. } = &*connection.activity;
            let acts = busy.load(Ordering::Relaxed) || !late && leaving.load(Ordering::Relaxed);
            connection.idle = if acts { 0 } else { connection.idle.saturating_add(1) };
            if connection.idle == 2 {
                connection.task.abort();
            }
        }
    }
}

impl Turns {
    /// The first that is idle, or else the first that was used.
    fn idle(&mut self, open: &HashMap<Id, Connection>) -> Option<Id> {
        let (mut looks, mut used) = (0, None);
        while looks < LOOKS
            && let Some(id) = self.0.pop_front()
        {
            // One that is closed was paid for by its opening.
            let Some(connection) = open.get(&id) else { continue };
            looks += 1;
            match connection.activity.look() {
                Worth::Idle => return Some(id),
                Worth::Used => used = used.or(Some(id)),
                Worth::Busy => {}
            }
            self.0.push_back(id);
        }
        used
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
    use std::future::pending;
    use tokio::task::JoinSet;

    const FULL: Most = Most { all: 200, key: "all", of_peer: 1000 };

    /// As many connections as may be open, of which some are closed and the others do this.
    fn full(tasks: &mut JoinSet<()>, closed: usize, set: impl Fn(&Activity)) -> Places {
        let mut places = Places::default();
        for index in 0..FULL.all + closed {
            let (task, activity) = (tasks.spawn(pending()), Arc::new(Activity::default()));
            let id = task.id();
            set(&activity);
            places.opened(task, Place::Any, None, activity);
            if index < closed {
                places.closed(id);
            }
        }
        places
    }

    #[tokio::test]
    async fn whoever_waits_makes_room_however_many_are_open() {
        let mut tasks = JoinSet::new();
        for (what, closed, busy, used, arriving, expected) in [
            ("idle", 0, false, false, false, Place::Any),
            ("idle, behind many that are closed", 150, false, false, false, Place::Any),
            ("used", 0, false, true, false, Place::Any),
            ("half sent", 0, true, true, true, Place::Any),
            ("busy", 0, true, true, false, Place::Reserve),
        ] {
            let mut places = full(&mut tasks, closed, |activity| {
                activity.busy.store(busy, Ordering::Relaxed);
                activity.used.store(used, Ordering::Relaxed);
                activity.arriving.store(arriving, Ordering::Relaxed);
            });
            assert!(places.find(None, FULL) == expected, "{what}");
        }
    }

    #[tokio::test]
    async fn the_reserve_loses_who_was_answered_first() {
        let mut tasks = JoinSet::new();
        let mut places = full(&mut tasks, 0, |activity| activity.busy.store(true, Ordering::Relaxed));
        let mut reserve = Vec::new();
        for index in 0..RESERVE {
            let (task, activity) = (tasks.spawn(pending()), Arc::new(Activity::default()));
            activity.used.store(index == 7, Ordering::Relaxed);
            activity.busy.store(index == 0, Ordering::Relaxed);
            reserve.push(task.id());
            assert!(places.find(None, FULL) == Place::Reserve);
            places.opened(task, Place::Reserve, None, activity);
        }
        for index in [7, 1, 2] {
            assert!(places.find(None, FULL) == Place::Reserve);
            assert!(!places.open.contains_key(&reserve[index]), "{index}");
            let task = tasks.spawn(pending());
            places.opened(task, Place::Reserve, None, Arc::default());
        }
        assert!(places.open.contains_key(&reserve[0]));
    }

    #[tokio::test]
    async fn an_answer_on_its_way_is_not_cut_at_once() {
        let (mut tasks, mut places) = (JoinSet::<()>::new(), Places::default());
        let mut open = |leaving: bool| {
            let (task, activity) = (tasks.spawn(pending()), Arc::new(Activity::default()));
            activity.leaving.store(leaving, Ordering::Relaxed);
            places.opened(task.clone(), Place::Any, None, activity);
            task
        };
        let tasks = [open(true), open(false)];
        for (late, expected) in
            [(false, [false, false]), (false, [false, true]), (true, [false, true]), (true, [true, true])]
        {
            places.look(late);
            // What is cut ends when the runtime gets to it.
            tokio::task::yield_now().await;
            assert_eq!([&tasks[0], &tasks[1]].map(|task| task.is_finished()), expected);
        }
    }

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
