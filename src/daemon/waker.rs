//! The clock that wakes the daemon. Alone knows the scheduler library.

use tokio::sync::mpsc;
pub(super) use tokio_cron_scheduler::JobSchedulerError as WakerError;
use tokio_cron_scheduler::{Job, JobScheduler};

/// Wakes each minute, and does nothing more: whether a run is due is decided from the ledger, because a zoned job of the
/// library keeps the offset of the day it was created.
pub(super) struct Waker {
    scheduler: JobScheduler,
    minutes: mpsc::Receiver<()>,
}

impl Waker {
    pub(super) async fn start() -> Result<Self, WakerError> {
        let (sender, minutes) = mpsc::channel(1);
        let scheduler = JobScheduler::new().await?;
        let job = Job::new("0 * * * * *", move |_, _| {
            // A full channel means that a wake is waiting already.
            let _ = sender.try_send(());
        })?;
        scheduler.add(job).await?;
        scheduler.start().await?;
        Ok(Self { scheduler, minutes })
    }

    /// The next minute.
    pub(super) async fn minute(&mut self) {
        if self.minutes.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }

    pub(super) async fn stop(mut self) {
        // The process ends here, and the waker with it.
        let _ = self.scheduler.shutdown().await;
    }
}
