//! Answers that are ready together leave together.
//!
//! HTTP/2 writes when its connection's task runs, and tokio runs a task that was just woken before all others: each
//! answer of a group commit would be written by itself, a TLS record and a system call for one answer, and the client
//! would be woken for each. So the first write after a flush is put off once: the connection's task goes to the end of
//! the queue, and the calls that stand before it there add their answers to what is written then.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A connection that puts off the first write after each flush until its task has its next turn.
pub(crate) struct Coalescing<S> {
    inner: S,
    /// Whether the write that comes was put off already.
    had_its_turn: bool,
}

impl<S> Coalescing<S> {
    pub(crate) fn new(inner: S) -> Self {
        Self { inner, had_its_turn: false }
    }

    /// Pending once after each flush; the task is woken at once, and so has its turn behind what is ready by now.
    fn poll_turn(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.had_its_turn {
            return Poll::Ready(());
        }
        self.had_its_turn = true;
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Coalescing<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Coalescing<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        std::task::ready!(self.poll_turn(context));
        Pin::new(&mut self.inner).poll_write(context, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        std::task::ready!(self.poll_turn(context));
        Pin::new(&mut self.inner).poll_write_vectored(context, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        std::task::ready!(Pin::new(&mut self.inner).poll_flush(context))?;
        self.had_its_turn = false;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
