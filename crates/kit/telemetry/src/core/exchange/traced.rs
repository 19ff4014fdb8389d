//! The layer and the service that all edges over `http::Request` are made of, written once.

use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::{Exchange, Observer, ResponseBody, ResponseFuture};

/// One kind of edge for requests with body `B`: its settings and instruments, shared by its layers, its services and
/// the spans they open.
pub trait Edge<B> {
    /// What writes down an exchange at this edge.
    type Observer: Observer;

    /// Begins an exchange: finds the parent, opens the span, and changes the request where context leaves with it.
    fn begin(self: &Arc<Self>, request: &mut Request<B>) -> Exchange<Self::Observer>;
}

/// Makes a public layer type of one kind of edge: cheap to clone; a setter changes the copy it is called on, and the
/// layers and services made from it before stay as they are.
macro_rules! layer {
    ($(#[$attribute:meta])* $layer:ident of $edge:ty) => {
        $(#[$attribute])*
        #[derive(Clone, Debug)]
        pub struct $layer {
            edge: std::sync::Arc<$edge>,
        }

        impl $layer {
            fn of(edge: $edge) -> Self {
                Self { edge: std::sync::Arc::new(edge) }
            }

            /// What its services share.
            #[allow(dead_code, reason = "not every edge has services of its own")]
            pub(super) fn shared_edge(&self) -> std::sync::Arc<$edge> {
                std::sync::Arc::clone(&self.edge)
            }

            fn with(mut self, change: impl FnOnce(&mut $edge)) -> Self {
                change(std::sync::Arc::make_mut(&mut self.edge));
                self
            }
        }

        impl<S> tower_layer::Layer<S> for $layer {
            type Service = $crate::core::exchange::Traced<S, $edge>;

            fn layer(&self, inner: S) -> Self::Service {
                $crate::core::exchange::Traced::new(inner, std::sync::Arc::clone(&self.edge))
            }
        }
    };
}
pub(crate) use layer;

/// A service behind one of the layers: every call of it is an exchange.
#[derive(Debug)]
pub struct Traced<S, E> {
    inner: S,
    edge: Arc<E>,
}

impl<S, E> Traced<S, E> {
    pub(crate) fn new(inner: S, edge: Arc<E>) -> Self {
        Self { inner, edge }
    }
}

impl<S: Clone, E> Clone for Traced<S, E> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), edge: Arc::clone(&self.edge) }
    }
}

impl<S, E, B, R> Service<Request<B>> for Traced<S, E>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: 'static,
    E: Edge<B>,
    R: Body,
    R::Error: 'static,
{
    type Response = Response<ResponseBody<R, E::Observer>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, E::Observer>;

    fn poll_ready(&mut self, task: &mut TaskContext<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(task)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let exchange = self.edge.begin(&mut request);
        exchange.call(&mut self.inner, request)
    }
}
