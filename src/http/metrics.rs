//! What is counted of every request, held ready so that counting one costs a few additions.

use std::{sync::OnceLock, time::Duration};

use http::StatusCode;
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use super::surface::Surface;

const LATENCY: &str = "basalt_http_request_seconds";
const BUCKETS: &[f64] = &[0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// The process's metrics: there is one recorder, whatever number of servers a process runs.
pub(crate) struct Metrics {
    requests: [[Counter; CLASSES.len()]; Surface::ALL.len()],
    latency: [Histogram; Surface::ALL.len()],
    pub(crate) in_flight: Gauge,
    pub(crate) connections: Gauge,
    prometheus: Option<PrometheusHandle>,
}

/// The metrics, with their recorder put in place at the first call.
pub(crate) fn metrics() -> &'static Metrics {
    static METRICS: OnceLock<Metrics> = OnceLock::new();
    METRICS.get_or_init(Metrics::install)
}

impl Metrics {
    fn install() -> Self {
        let builder = PrometheusBuilder::new().set_buckets_for_metric(Matcher::Full(LATENCY.to_owned()), BUCKETS);
        // A program that embeds this server may have a recorder of its own; then that one gets the figures.
        let prometheus = builder.ok().and_then(|builder| builder.install_recorder().ok());
        metrics::describe_counter!("basalt_http_requests_total", "Requests answered, by room and class of status");
        metrics::describe_histogram!(LATENCY, metrics::Unit::Seconds, "Time from a request's head to its answer's, by room");
        metrics::describe_gauge!("basalt_http_in_flight", "Requests being answered, uploads apart");
        metrics::describe_gauge!("basalt_http_connections", "Open connections");
        Self {
            requests: Surface::ALL.map(|room| CLASSES.map(|class| counter!("basalt_http_requests_total", "room" => room.name(), "status" => class))),
            latency: Surface::ALL.map(|room| histogram!(LATENCY, "room" => room.name())),
            in_flight: gauge!("basalt_http_in_flight"),
            connections: gauge!("basalt_http_connections"),
            prometheus,
        }
    }

    pub(super) fn answered(&self, surface: Surface, status: StatusCode, took: Duration) {
        let room = surface as usize;
        let class = usize::from(status.as_u16() / 100).clamp(1, CLASSES.len()) - 1;
        self.requests[room][class].increment(1);
        self.latency[room].record(took);
    }

    /// Everything that is counted, in Prometheus' text form.
    pub(crate) fn render(&self) -> String {
        self.prometheus.as_ref().map(PrometheusHandle::render).unwrap_or_default()
    }

    /// Folds what was recorded into the buckets; without it the records pile up.
    pub(crate) fn tidy(&self) {
        if let Some(prometheus) = &self.prometheus {
            prometheus.run_upkeep();
        }
    }
}
