use super::*;

#[test]
fn tells_maps_from_everything_else() {
    let smaps = "\
55f0a0000000-55f0a0100000 r-xp 00000000 08:01 1234     /usr/bin/lb
Size:               1024 kB
Rss:                 512 kB
Pss:                 512 kB
VmFlags: rd ex mr mw me
7fb43d0b0000-7fb43d8b0000 rw-s 00000000 00:10 12       anon_inode:bpf-map
Size:               8192 kB
Rss:                8192 kB
7fb43e800000-7fb43e900000 rw-p 00000000 00:00 0
Rss:                   4 kB
";
    let expected = Memory {
        resident: 8708 << 10,
        maps: 8192 << 10,
    };
    assert_eq!(parse(smaps), expected);
    assert_eq!(parse(""), Memory::default());
}

#[test]
fn this_process_has_memory_and_no_maps() {
    let memory = memory();
    assert!(memory.resident > 0);
    assert_eq!(memory.maps, 0);
}
