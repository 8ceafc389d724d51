//! Threads that give way to everything else.

/// The nicest a thread may be to everything else without starving: half of the lowest priority there is.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

/// Lets this thread give way to all others. Linux gives each thread a priority of its own; elsewhere the size of its pool has to do.
pub(crate) fn lower() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICENESS) {
        let thread = std::thread::current();
        tracing::debug!(%error, thread = thread.name(), "a thread keeps its priority");
    }
}
