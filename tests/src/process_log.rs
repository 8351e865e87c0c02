//! The log of the process under test, kept in memory at the finest level there is: what it holds must be fit to be
//! shown to anybody, whatever level an operator sets.

use std::{
    io,
    sync::{Mutex, OnceLock, PoisonError},
};

use tracing_subscriber::fmt::MakeWriter;

/// All that the process has logged. One for the process: vaults that run in it write into the same.
#[derive(Debug, Default)]
pub struct ProcessLog(Mutex<Vec<u8>>);

static LOG: OnceLock<ProcessLog> = OnceLock::new();

impl ProcessLog {
    /// Begins to listen, unless that was done before.
    pub fn start() -> &'static Self {
        LOG.get_or_init(|| {
            let subscriber = tracing_subscriber::fmt()
                .with_max_level(tracing::Level::TRACE)
                .with_ansi(false)
                .with_writer(Writer)
                .finish();
            // Another subscriber would keep everything from this one.
            assert!(tracing::subscriber::set_global_default(subscriber).is_ok(), "somebody else listens");
            Self::default()
        })
    }

    /// Lends what was logged so far.
    pub fn read<T>(&self, read: impl FnOnce(&[u8]) -> T) -> T {
        read(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Writes into the log of the process.
#[derive(Clone, Copy, Debug)]
struct Writer;

impl io::Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(log) = LOG.get() {
            log.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Writer {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        *self
    }
}
