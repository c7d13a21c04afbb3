//! The agent's log: to standard error, as text for people or JSON for machines.

use std::error::Error;

use tracing::level_filters::LevelFilter;

use crate::config::{Log, LogFormat, LogLevel};

/// Sends the process's log where `config` says. Only the first call has an effect.
pub fn start(config: &Log) {
    let subscriber = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(level(config.level))
        .with_target(false);
    // An error means that a log is being written already, which then stays as it is.
    let _ = match config.format {
        LogFormat::Text => tracing::subscriber::set_global_default(subscriber.finish()),
        LogFormat::Json => {
            let json = subscriber
                .json()
                .flatten_event(true)
                .with_current_span(false);
            tracing::subscriber::set_global_default(json.with_span_list(false).finish())
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
