use super::*;

#[test]
fn each_cause_is_said_once() {
    let source = || std::io::Error::other("out of luck");
    let named = anyhow::Error::new(source()).context("opening the map: out of luck");
    assert_eq!(causes(named.as_ref()), ["opening the map: out of luck"]);
    let hidden = anyhow::Error::new(source()).context("opening the map");
    assert_eq!(causes(hidden.as_ref()), ["opening the map", "out of luck"]);
}
