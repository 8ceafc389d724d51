//! The door: takes connections, hands their requests to the [`Front`], and closes in good order.
//!
//! Our own loop around hyper, because stock ones neither bound how long a client may take nor refuse ambiguous framing. Stopping goes:
//! `/ready` says 503 and every answer ends its connection, while the door stays open a moment for load balancers to notice; then the door
//! closes; then requests in flight have their time to finish.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use axum::body::Body;
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::{Instant, interval, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    app::App,
    auth,
    clock::Clock,
    config::{self, Config},
    error::{Error, Result},
    http::{
        Front, Mount, PeerAddress,
        metrics::metrics,
        wire::{Patience, Wire},
    },
    jobs::{self, Registry},
    mail::Mail,
    records, router, storage,
};

/// Takes the address to listen on and opens everything that the settings name. With port 0, the settings of the [`App`] hold the port it
/// became.
pub async fn open(mut config: Config, clock: Clock) -> Result<(App, TcpListener)> {
    let listener = bind(config.listen).await?;
    config.listen = listener.local_addr()?;
    Ok((App::open(config, clock).await?, listener))
}

async fn bind(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        Error::invalid("listen", format!("{address} can't be listened on ({error}); choose another address, port 0 takes a free one"))
    })
}

/// Serves until `shutdown` is cancelled, lets what is in flight finish, and closes the database.
pub async fn serve(app: App, listener: TcpListener, shutdown: CancellationToken) -> Result<()> {
    let front = service(app.clone());
    let mut others = JoinSet::new();
    for listener in app.config.listeners.clone() {
        let door = bind(listener.listen).await?;
        let (front, app, shutdown) = (mounted_service(app.clone(), &listener), app.clone(), shutdown.clone());
        tracing::info!(listen = %listener.listen, tenant = listener.tenant, "listening for one tenant");
        others.spawn(async move { serve_front(front, &app.config.http, door, app.stopping.clone(), shutdown).await });
    }
    let worker = tokio::spawn(jobs::work(app.clone(), Arc::new(work())));
    serve_front(front, &app.config.http, listener, app.stopping.clone(), shutdown).await?;
    while let Some(ended) = others.join_next().await {
        ended??;
    }
    worker.await?;
    app.close().await;
    Ok(())
}

/// Every kind of job, and what is done now and then.
pub fn work() -> Registry {
    let registry = Registry::default().job::<Mail>().job::<storage::PrefixWork>().periodic(
        "removing sessions, codes and links that are over",
        auth::SWEEP_EVERY,
        |app| Box::pin(auth::keep_swept(app)),
    );
    auth::jobs(registry)
        .periodic("forgetting answers to writes and deleted employees", records::SWEEP_EVERY, |app| Box::pin(records::keep_swept(app)))
        .periodic("doing what is due for records", records::LOOK_EVERY, |app| Box::pin(records::keep_up(app)))
        .periodic("removing files whose time is over", storage::LIFECYCLE_EVERY, |app| Box::pin(storage::keep_lifecycles(app)))
        .periodic("bringing entries of the search up to date", records::SWEEP_EVERY, |app| Box::pin(records::keep_search_current(app)))
        .periodic("removing bytes that no object names", storage::SWEEP_EVERY, |app| Box::pin(storage::keep_swept(app)))
}

/// The whole of Basalt as one service: what a socket reaches, without the socket.
pub fn service(app: App) -> Front {
    let (config, stopping) = (app.config.http.clone(), app.stopping.clone());
    Front::new(router::router(app), &config, stopping)
}

/// The same for a listener that serves one tenant.
pub fn mounted_service(app: App, listener: &config::Listener) -> Front {
    let (config, stopping) = (app.config.http.clone(), app.stopping.clone());
    let mount = Mount { tenant: listener.tenant.clone(), is_root: listener.root_mount, is_open: !listener.require_key };
    Front::mounted(router::router(app), &config, stopping, Some(mount))
}

/// Serves `front` to whoever connects to `listener`, until `shutdown` is cancelled and what was in flight is answered.
/// `stopping` is cancelled first of all, so that everybody who must know does.
pub async fn serve_front(
    front: Front,
    config: &config::Http,
    listener: TcpListener,
    stopping: CancellationToken,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let mut door = Door::new(front, config);
    let permits = Arc::new(Semaphore::new(config.max_connections));
    let mut upkeep = interval(METRICS_UPKEEP);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            (stream, peer, permit) = next(&listener, &permits) => door.admit(stream, peer, permit),
            Some(_) = door.connections.join_next() => door.count(),
            _ = upkeep.tick() => metrics().tidy(),
        }
    }
    stopping.cancel();
    tracing::info!(connections = door.connections.len(), "stopping");
    door.give_notice(&listener, &permits, Duration::from_secs(config.stop_delay_seconds)).await;
    door.close(listener, &permits)?;
    door.drain(Duration::from_secs(config.drain_seconds)).await;
    Ok(())
}

/// Cancelled when the process is asked to stop (SIGTERM, SIGINT). Asked a second time, the process ends at once.
pub fn stop_signal() -> io::Result<CancellationToken> {
    let asked = CancellationToken::new();
    let mut signals = Signals::listen()?;
    let token = asked.clone();
    tokio::spawn(async move {
        signals.next().await;
        token.cancel();
        let asked = Instant::now();
        loop {
            signals.next().await;
            if asked.elapsed() > ONE_WISH {
                tracing::warn!("asked twice to stop: stopping at once");
                std::process::exit(130);
            }
        }
    });
    Ok(asked)
}

/// Signals that come as close together as this are one wish: `timeout` and shells send theirs to the process and to its group.
const ONE_WISH: Duration = Duration::from_millis(500);

/// How often what was counted is folded together.
const METRICS_UPKEEP: Duration = Duration::from_secs(5);

/// How long to wait after a connection could not be taken: mostly the process has no descriptor left, and closing ones takes time.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long nothing must happen for nothing to be on its way.
const MOMENT: Duration = Duration::from_millis(50);

/// hyper's own buffers grow up to this for large bodies; a head is bounded apart.
const MAX_BUFFER: usize = 400 * 1024;

struct Door {
    front: Front,
    http: http1::Builder,
    patience: Patience,
    trusted: Arc<[crate::http::Network]>,
    graceful: GracefulShutdown,
    /// Dropped, it ends what is still open.
    connections: JoinSet<()>,
}

impl Door {
    fn new(front: Front, config: &config::Http) -> Self {
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            // hyper counts from the end of the request before, so this is the time a connection may be idle.
            .header_read_timeout(Duration::from_secs(config.idle_timeout_seconds))
            .max_header_size(config.max_header_bytes)
            .max_buf_size(MAX_BUFFER.max(config.max_header_bytes + 8192))
            .half_close(false)
            .keep_alive(true);
        Self {
            front,
            http,
            patience: Patience::of(config),
            trusted: config.trusted_proxies.clone().into(),
            graceful: GracefulShutdown::new(),
            connections: JoinSet::new(),
        }
    }

    fn admit(&mut self, stream: TcpStream, peer: SocketAddr, permit: OwnedSemaphorePermit) {
        // Without it small answers wait for the acknowledgement of earlier ones.
        let _ = stream.set_nodelay(true);
        let (front, trusted) = (self.front.clone(), Arc::clone(&self.trusted));
        let service = service_fn(move |request: Request<Incoming>| {
            let front = front.clone();
            let peer = PeerAddress::resolve(peer, request.headers(), &trusted);
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(peer);
            async move { Ok::<_, Infallible>(front.answer(request).await) }
        });
        let connection = self.http.serve_connection(TokioIo::new(Wire::new(stream, self.patience)), service);
        let connection = self.graceful.watch(connection);
        self.connections.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
            drop(permit);
        });
        self.count();
    }

    fn count(&self) {
        #[expect(clippy::cast_precision_loss, reason = "there are not 2^52 connections")]
        metrics().connections.set(self.connections.len() as f64);
    }

    /// Goes on for a while, with every answer ending its connection, until nobody comes any more.
    async fn give_notice(&mut self, listener: &TcpListener, permits: &Arc<Semaphore>, delay: Duration) {
        let notice = sleep(delay);
        tokio::pin!(notice);
        loop {
            let is_quiet = self.connections.is_empty();
            tokio::select! {
                () = &mut notice => break,
                (stream, peer, permit) = next(listener, permits) => self.admit(stream, peer, permit),
                Some(_) = self.connections.join_next(), if !is_quiet => self.count(),
                () = sleep(MOMENT), if is_quiet => break,
            }
        }
    }

    /// Lets in whoever stands in front of the door, whom closing it would reset, and closes it.
    fn close(&mut self, listener: TcpListener, permits: &Arc<Semaphore>) -> io::Result<()> {
        take_no_more(&listener);
        // The system is asked: tokio only knows of those it was told of when it last looked.
        let listener = listener.into_std()?;
        while let Ok(permit) = Arc::clone(permits).try_acquire_owned()
            && let Ok((stream, peer)) = listener.accept()
        {
            stream.set_nonblocking(true)?;
            self.admit(TcpStream::from_std(stream)?, peer, permit);
        }
        Ok(())
    }

    /// Lets what is in flight finish, for so long, and closes idle connections.
    async fn drain(self, limit: Duration) {
        let Self { graceful, mut connections, .. } = self;
        // A request may be on its way over a connection that seems idle, or is new: its answer ends the connection by itself.
        let all_end = async { while connections.join_next().await.is_some() {} };
        if timeout(MOMENT.min(limit), all_end).await.is_err() && timeout(limit, graceful.shutdown()).await.is_err() {
            tracing::warn!(connections = connections.len(), "stopped with requests in flight");
        }
    }
}

/// The next connection, once there is room for it.
async fn next(listener: &TcpListener, permits: &Arc<Semaphore>) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
    let permit = Arc::clone(permits).acquire_owned().await.expect("the semaphore is never closed");
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => return (stream, peer, permit),
            Err(error) if is_the_clients(&error) => {}
            Err(error) => {
                tracing::error!(%error, "a connection could not be taken");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// From here on nobody joins the queue in front of the door: the first packet of whoever comes is dropped, and when it is sent again a
/// second later the door is closed. Elsewhere than on Linux, who comes in the last microseconds is reset.
fn take_no_more(listener: &TcpListener) {
    #[cfg(target_os = "linux")]
    {
        /// `BPF_RET | BPF_K`: keep so many bytes of the packet.
        const RETURN: u16 = 0x06;
        let drop_all = [socket2::SockFilter::new(RETURN, 0, 0, 0)];
        if let Err(error) = socket2::SockRef::from(listener).attach_filter(&drop_all) {
            tracing::debug!(%error, "the queue in front of the door stays open");
        }
    }
}

/// The client went away before it was let in.
fn is_the_clients(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        let _ = tokio::signal::ctrl_c().await;
    }
}
