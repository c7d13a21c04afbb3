//! Connections through the balancer, segment by segment.

use std::net::SocketAddr;

use lb_common::tcp::{ACK, FIN, SYN};
use lb_tests::netns::Mac;
use lb_tests::packet::Packet;
use lb_tests::plane::Verdict;

use super::{BACK, FRONT, World, server_mac};

/// What PSH is.
pub(crate) const PSH: u8 = 0x08;

/// A connection as its two ends and the packets between them know it.
#[derive(Clone, Debug)]
pub(crate) struct Conn {
    pub(crate) client: SocketAddr,
    pub(crate) client_mac: Mac,
    pub(crate) vip: SocketAddr,
    /// What the server sees as the client.
    pub(crate) nat: SocketAddr,
    pub(crate) server: u16,
    server_addr: SocketAddr,
    /// Next sequence number of the client.
    pub(crate) client_next: u32,
    /// Next sequence number of the server.
    pub(crate) server_next: u32,
}

/// First sequence numbers.
pub(crate) const CLIENT_ISN: u32 = 0x1000_0000;
pub(crate) const SERVER_ISN: u32 = 0x8000_0000;

impl World {
    /// The client's SYN from `port`.
    pub(crate) fn syn(&self, port: u16) -> Packet {
        let mut syn = self.from_client(port).seq(CLIENT_ISN).flags(SYN);
        syn.options = vec![2, 4, 5, 0xb4, 1, 1, 4, 2];
        syn
    }

    /// A connection of which the client has sent its SYN.
    #[track_caller]
    pub(crate) fn half_open(&self, port: u16) -> Conn {
        self.started_by(&self.syn(port))
    }

    /// A connection that this SYN opens.
    #[track_caller]
    pub(crate) fn started_by(&self, syn: &Packet) -> Conn {
        let outcome = self.send(syn);
        assert!(
            matches!(outcome.ran.verdict, Verdict::Tx | Verdict::Redirect),
            "{syn:?} was not forwarded: {outcome:?}"
        );
        let conn = Conn::at(self, syn, &outcome.packet());
        outcome.to_server(conn.server, &conn.at_server(syn));
        conn
    }

    /// A connection of which the server has sent its SYN-ACK.
    #[track_caller]
    pub(crate) fn answered(&self, port: u16) -> Conn {
        let mut conn = self.half_open(port);
        let answer = conn.from_server(SYN | ACK);
        self.send(&answer)
            .to_client(conn.server, &conn.at_client(&answer));
        conn.server_next = SERVER_ISN + 1;
        conn
    }

    /// A connection whose handshake is done.
    #[track_caller]
    pub(crate) fn open(&self, port: u16) -> Conn {
        let conn = self.answered(port);
        self.forward(&conn, &conn.from_client(ACK));
        conn
    }

    /// A connection that both ends have closed.
    #[track_caller]
    pub(crate) fn closed(&self, port: u16) -> Conn {
        let mut conn = self.open(port);
        self.forward(&conn, &conn.from_client(FIN | ACK));
        conn.client_next = conn.client_next.wrapping_add(1);
        self.forward(&conn, &conn.from_server(FIN | ACK));
        conn.server_next = conn.server_next.wrapping_add(1);
        self.forward(&conn, &conn.from_client(ACK));
        conn
    }

    /// Sends a segment of the connection, from either end; it is forwarded as it should be.
    #[track_caller]
    pub(crate) fn forward(&self, conn: &Conn, segment: &Packet) {
        if segment.to == BACK && segment.src == conn.server_addr {
            self.send(segment)
                .to_client(conn.server, &conn.at_client(segment));
        } else {
            self.send(segment)
                .to_server(conn.server, &conn.at_server(segment));
        }
    }
}

impl Conn {
    /// The connection that a SYN opens which reached its server as `sent`.
    #[track_caller]
    pub(crate) fn at(lb: &World, syn: &Packet, sent: &Packet) -> Self {
        let server = (1..=super::SERVERS)
            .find(|&server| lb.server(server) == sent.dst)
            .expect("one of the servers");
        Self {
            client: syn.src,
            client_mac: syn.from,
            vip: syn.dst,
            nat: sent.src,
            server,
            server_addr: sent.dst,
            client_next: syn.seq.wrapping_add(1),
            server_next: SERVER_ISN,
        }
    }

    /// The client's next segment, which acknowledges all that the server sent.
    pub(crate) fn from_client(&self, flags: u8) -> Packet {
        Packet::new(self.client_mac, FRONT, self.client, self.vip)
            .seq(self.client_next)
            .ack(self.server_next)
            .flags(flags)
    }

    /// The server's next segment, which acknowledges all that the client sent.
    pub(crate) fn from_server(&self, flags: u8) -> Packet {
        Packet::new(server_mac(self.server), BACK, self.server_addr, self.nat)
            .seq(self.server_next)
            .ack(self.client_next)
            .flags(flags)
    }

    /// What a segment of the client's is when it reaches the server.
    pub(crate) fn at_server(&self, segment: &Packet) -> Packet {
        Packet {
            from: BACK,
            to: server_mac(self.server),
            src: self.nat,
            dst: self.server_addr,
            hops: segment.hops - 1,
            ..segment.clone()
        }
    }

    /// What a segment of the server's is when it reaches the client.
    pub(crate) fn at_client(&self, segment: &Packet) -> Packet {
        Packet {
            from: FRONT,
            to: self.client_mac,
            src: self.vip,
            dst: self.client,
            hops: segment.hops - 1,
            ..segment.clone()
        }
    }
}
