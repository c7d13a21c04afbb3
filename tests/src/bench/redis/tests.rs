use super::parse;

/// What redis-benchmark 7.0.15 printed.
const PRINTED: &str = "\
\"test\",\"rps\",\"avg_latency_ms\",\"min_latency_ms\",\"p50_latency_ms\",\"p95_latency_ms\",\"p99_latency_ms\",\"max_latency_ms\"
\"GET\",\"35714.29\",\"0.726\",\"0.128\",\"0.671\",\"1.167\",\"1.727\",\"4.807\"
";

#[test]
fn figures_are_found_by_their_names() {
    assert_eq!(parse(PRINTED), Some([35_714.29, 0.671, 1.727]));
}

#[test]
fn an_error_message_is_no_figure() {
    assert_eq!(
        parse("Could not connect to Redis at 10.3.0.10:6379\n"),
        None
    );
}
