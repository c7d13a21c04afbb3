//! The agent's log: to standard error, as text for people or JSON for machines.

use std::error::Error;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;

use crate::config::{Log, LogFormat, LogLevel};

/// Target of the lines of `log.connections`.
pub const CONNECTION: &str = "connection";

/// Sends the process's log where `config` says. Only the first call has an effect.
pub fn start(config: &Log) {
    let subscriber = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(LevelFilter::TRACE)
        .with_target(false);
    // Whoever wants connections wants them whatever the level.
    let wanted = Targets::new()
        .with_default(level(config.level))
        .with_target(CONNECTION, LevelFilter::INFO);
    // An error means that a log is being written already, which then stays as it is.
    let _ = match config.format {
        LogFormat::Text => {
            tracing::subscriber::set_global_default(subscriber.finish().with(wanted))
        }
        LogFormat::Json => {
            let json = subscriber
                .json()
                .flatten_event(true)
                .with_current_span(false);
            let json = json.with_span_list(false).finish();
            tracing::subscriber::set_global_default(json.with(wanted))
        }
    };
}

/// An error and its causes, each said once: some messages name their cause themselves.
pub fn causes(error: &dyn Error) -> Vec<String> {
    let mut said: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        if !said.iter().any(|earlier| earlier.contains(&text)) {
            said.push(text);
        }
        next = error.source();
    }
    said
}

fn level(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

#[cfg(test)]
mod tests;
