//! Few pictures at a time, on threads that give way to everything else.

use std::{num::NonZero, sync::Arc};

use tokio::sync::{Semaphore, oneshot};

use crate::{
    error::{Error, Result},
    priority,
};

/// Pictures that may wait for their turn.
const QUEUE: usize = 32;

pub(super) struct Pool {
    /// A permit for each that may be made or wait.
    places: Arc<Semaphore>,
    turns: Arc<Semaphore>,
}

impl Pool {
    /// Zero threads means one for every two cores: a large picture fills memory as well as a core.
    pub(super) fn new(threads: usize) -> Self {
        let suitable = || std::thread::available_parallelism().map_or(1, NonZero::get).div_ceil(2);
        let threads = if threads == 0 { suitable() } else { threads };
        Self { places: Arc::new(Semaphore::new(threads + QUEUE)), turns: Arc::new(Semaphore::new(threads)) }
    }

    /// Waits for a turn, gathers what the work needs, and does it on a thread of its own. Nothing is gathered by those who wait.
    pub(super) async fn run<I, T>(&self, input: impl Future<Output = Result<I>>, work: impl FnOnce(I) -> T + Send + 'static) -> Result<T>
    where
        I: Send + 'static,
        T: Send + 'static,
    {
        let busy = |_| Error::unavailable("too many pictures are being made; try again in a second");
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(busy)?;
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(Error::internal)?;
        let input = input.await?;
        let (answer, result) = oneshot::channel();
        std::thread::Builder::new().name("picture".to_owned()).spawn(move || {
            priority::lower();
            // Who has gone away gets nothing, but the turn ends only when the work does.
            let _ = answer.send(work(input));
            drop((turn, place));
        })?;
        result.await.map_err(|_| Error::internal("a thread ended before it had made its picture"))
    }
}
