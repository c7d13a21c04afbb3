//! Why a packet was not forwarded.
//!
//! Every packet ends in one of three ways: forwarded (counted with its server), dropped with a
//! [`DropReason`], or left to the kernel's stack with a [`PassReason`]. Both kinds of reason index
//! one per-processor array of packet counts ([`crate::map::VERDICTS`]). Drops that happen after the
//! packet's service is known are counted for the service too ([`ServiceDrops`]).

macro_rules! reasons {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $value:literal, $word:literal, $text:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u32)]
        pub enum $name {
            $(#[doc = $text] $(#[$vdoc])* $variant = $value,)*
        }

        impl $name {
            /// All of them, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The word by which metrics and `lb show` know it.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// One sentence for whoever asks why.
            pub const fn describe(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

/// Number of counters in [`crate::map::VERDICTS`].
pub const VERDICT_COUNTERS: u32 = 96;

/// Numbers below are [`DropReason`]s, numbers from here on [`PassReason`]s.
pub const PASS_BASE: u32 = 64;

/// Value of [`crate::map::SERVICE_DROPS`], by service id: packets of one service that were dropped,
/// one copy a processor.
///
/// Indexed by 0 there: packets that were dropped before their service was known. Nobody reads those.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct ServiceDrops {
    /// By [`DropReason`] number.
    pub packets: [u64; PASS_BASE as usize],
}

impl Default for ServiceDrops {
    fn default() -> Self {
        Self {
            packets: [0; PASS_BASE as usize],
        }
    }
}

// SAFETY: `repr(C)`, integers only, no padding.
#[cfg(feature = "user")]
unsafe impl aya::Pod for ServiceDrops {}

reasons! {
    /// A packet for one of our services, or of one of our flows, that went no further.
    DropReason {
        Truncated = 1, "truncated", "the frame ends before its headers do";
        BadIpHeader = 2, "bad_ip_header", "IP version, header length or total length contradict the frame";
        BadTcpHeader = 3, "bad_tcp_header", "TCP data offset below 20 bytes or beyond the packet";
        Fragment = 4, "fragment", "a fragment for a service's address (not supported yet)";
        IpOptions = 5, "ip_options", "IPv4 options or IPv6 extension headers on a packet for a service's address (not supported yet)";
        TtlExceeded = 6, "ttl_exceeded", "TTL or hop limit used up";
        MtuExceeded = 7, "mtu_exceeded", "longer than the MTU of the interface it would leave by";
        NoServer = 8, "no_server", "no server of the service's pool is up with a weight above zero";
        NoFlow = 9, "no_flow", "a TCP segment other than SYN for a service, and no flow knows it";
        BadFlags = 10, "bad_flags", "TCP flags that no connection opens with";
        FlowTableFull = 11, "flow_table_full", "both candidate buckets hold open flows only";
        FlowRace = 12, "flow_race", "another processor opened the same flow at this moment";
        NoSourcePort = 13, "no_source_port", "no free source port towards the server on any nat_source address";
        NoNeighbour = 14, "no_neighbour", "next hop of the server not resolved yet";
        NoSnat = 15, "no_snat", "the server has no nat_source address of its family";
        BadRing = 16, "bad_ring", "ring, member or server entry missing (a bug: please report)";
        RedirectFailed = 17, "redirect_failed", "the interface towards the packet's next hop is not one of dataplane.interfaces";
        NoStage = 18, "no_stage", "a part of the program is not there (a bug: please report)";
        ServersFull = 34, "servers_full", "every server that could take the connection has maxconn of them";
        ServiceFull = 35, "service_full", "the service has max_flows connections";
        Withheld = 36, "withheld", "a server's refusal, kept from the client so that its next SYN tries another server";
        AccessDenied = 40, "access_denied", "a new flow of a client that the service's allow and deny do not admit";
        SourceLimit = 41, "source_limit", "a new flow from a source that opened more than new_flows allows";
        SourceBanned = 42, "source_banned", "a new flow from a source that is banned for having opened too many";
        Challenged = 50, "challenged", "a new connection from a source that is to prove itself first, answered with a challenge (see docs/data-path.md, under attack)";
        Proof = 51, "proof", "a source's answer to a challenge: its next connection passes";
        BadProof = 52, "bad_proof", "a RST that belongs to no flow and answers no challenge, while sources are challenged";
    }
}

reasons! {
    /// A packet that is none of our business, handed to the kernel's stack untouched.
    PassReason {
        NotOurMac = 64, "not_our_mac", "not addressed to this interface's MAC address (broadcast, multicast, promiscuous port)";
        NotIp = 65, "not_ip", "neither IPv4 nor IPv6 (ARP, VLAN-tagged, ...)";
        NotTcp = 66, "not_tcp", "a transport that no service of ours uses";
        NoService = 67, "no_service", "address and port belong to no service of ours";
        UnknownInterface = 68, "unknown_interface", "came in on an interface the agent has not described yet";
        Icmp = 69, "icmp", "ICMP: the stack answers for addresses of this host";
    }
}

#[cfg(test)]
mod tests;
