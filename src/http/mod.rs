//! What every surface shares of HTTP: the connection, what stands around handlers, error answers, reading bodies.
//!
//! The way of a request: [`framing`] and [`wire`] guard the bytes of a connection, [`layers`] stands around all routes, the rooms'
//! handlers follow. Start reading at [`Front`].

pub mod body;
mod cors;
mod framing;
mod layers;
mod leftover;
pub(crate) mod metrics;
mod notes;
mod peer;
mod prefix;
mod problem;
mod surface;
pub(crate) mod wire;

pub use self::{
    layers::Front,
    notes::{
        Actor, ActorKind, RequestId, current_actor, current_client, current_request, note_actor, note_client, note_route, note_tenant,
        note_true_status, request_id, wants_text_codes, wants_true_status,
    },
    peer::{Network, NotANetwork, PeerAddress, address_of},
    prefix::{KeyIsOptional, Mount, OriginalPath, TenantInPath},
    problem::{Problem, report},
    surface::{Surface, SurfaceError},
};
