//! Orders: place, look up, list, cancel.

use crate::{
    body::JsonBody,
    budget::Budget,
    caller::Caller,
    edge::Edge,
    idempotency,
    problem::{Answer, FailedOrder, Refusal},
    query::{NoParameters, Parameters},
    replay::{self, Found, KnownOnly},
};
use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::IntoResponse,
};
use waypost_api::attributes::{ORDER_ID, ORDER_STATUS, PRODUCT_ID, USER_ID};
use waypost_api::{
    Charge, Error, ErrorCode, OrderId, OrderStatus, UserId,
    http_bodies::{CreateOrderBody, OrderBody, OrderPage, parse_create_order},
    order::v1::{
        CancelOrderRequest, CreateOrderRequest, CreateOrderResponse, GetOrderByKeyRequest, GetOrderRequest,
        ListOrdersRequest,
    },
};
use waypost_telemetry::{
    opentelemetry::Context,
    tenant::{self, TenantId},
};

const REPLAYED: HeaderName = HeaderName::from_static(idempotency::REPLAYED);

/// Place an order.
///
/// Answers when the order is settled, or shortly before the time runs out with the order as it stands; what is
/// accepted goes on in either case. Send an `Idempotency-Key` to be able to repeat the request safely.
#[utoipa::path(
    post, path = "/api/orders", tag = "orders", operation_id = "create_order", request_body = CreateOrderBody,
    params(
        ("Idempotency-Key" = Option<String>, Header, max_length = 257,
            description = "1 to 255 visible ASCII characters, bare or quoted; the same key and body give the same answer."),
    ),
    responses(
        (status = 201, description = "The order is completed.", body = OrderBody),
        (status = 202, description = "The order is accepted and not settled yet; follow `Location`.", body = OrderBody),
    ),
)]
pub(crate) async fn create(
    State(edge): State<Edge>,
    caller: Caller,
    budget: Budget,
    _: NoParameters,
    KnownOnly(refusal): KnownOnly,
    headers: HeaderMap,
    JsonBody(body): JsonBody,
) -> Answer {
    let body = parse_create_order(&body)?;
    waypost_telemetry::set(USER_ID, &body.user_id);
    waypost_telemetry::set(PRODUCT_ID, &body.product_id);
    let acting = caller.act_for(&body.user_id)?;
    let required = edge.require_idempotency_key;
    let idempotency = idempotency::read(&headers, required, &acting.user_id, "/api/orders", &body)?;
    let by_key = idempotency.clone().map(|idempotency| GetOrderByKeyRequest {
        caller: Some(acting.clone()),
        user_id: body.user_id.to_string(),
        idempotency: Some(idempotency),
    });
    if let Some(refusal) = refusal {
        let order = budget.spend(replay::known_order(&edge.upstream, by_key, refusal)).await?;
        return answer_created(CreateOrderResponse { order: Some(order), replayed: true });
    }
    let place = async {
        let known = Box::pin(replay::user_or_order(&edge.upstream, &body.user_id, by_key));
        let user = match known.await? {
            Found::User(user) => user,
            Found::Order(order) => return Ok(CreateOrderResponse { order: Some(order), replayed: true }),
        };
        let request = CreateOrderRequest {
            caller: Some(acting),
            user_id: body.user_id.to_string(),
            product_id: body.product_id.to_string(),
            quantity: body.quantity,
            amount: Some(body.amount.into()),
            payment_method: user.payment_method,
            idempotency,
            is_repeat: false,
        };
        let call = edge.upstream.create_order(request);
        waypost_telemetry::with_context(in_tenant(&user.tenant_id), call).await
    };
    answer_created(budget.spend(place).await?)
}

/// The tenant is known from here on; every service behind gets it in the baggage.
fn in_tenant(tenant_id: &str) -> Context {
    let context = Context::current();
    match TenantId::new(tenant_id) {
        Ok(tenant) => tenant::with_tenant(&context, &tenant),
        // The user has none.
        Err(_) => context,
    }
}

fn answer_created(created: CreateOrderResponse) -> Answer {
    let CreateOrderResponse { order, replayed } = created;
    let order = order.unwrap_or_default();
    let charge = Charge::try_from(order.charge()).ok();
    let order = OrderBody::try_from(order)?;
    describe(&order);
    let location =
        HeaderValue::try_from(format!("/api/orders/{}", order.order_id)).map_err(|_| Error::internal())?;
    let mut headers = HeaderMap::from_iter([(header::LOCATION, location)]);
    if replayed {
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
    }
    let status = match order.status {
        // Cancelled only on a replay: it was placed, and its owner has cancelled it since.
        OrderStatus::Completed | OrderStatus::Cancelled => StatusCode::CREATED,
        OrderStatus::Pending | OrderStatus::Confirmed => StatusCode::ACCEPTED,
        OrderStatus::Failed => return Err(failure(order, charge).with_headers(headers)),
    };
    Ok((status, headers, Json(order)).into_response())
}

/// Why an order failed, as the problem that it is to its client: the same for the first request and each repeated one.
fn failure(order: OrderBody, charge: Option<Charge>) -> Refusal {
    let reason = order.failure_code.unwrap_or(ErrorCode::Internal);
    let mut detail = format!("order {} failed: {}", order.order_id, lowercase_first(reason.title()));
    if let Some(charge) = charge {
        detail = format!("{detail}; {}", charge.told());
    }
    let mut error = Error::new(reason.of_failed_order(), detail);
    if let Some(provider_code) = order.decline_code {
        error = error.with_provider_code(provider_code);
    }
    Refusal::from(error).of_order(FailedOrder { failure_code: reason, trace_id: order.trace_id })
}

fn lowercase_first(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(|character| character.to_ascii_lowercase());
    first.into_iter().chain(characters).collect()
}

fn describe(order: &OrderBody) {
    waypost_telemetry::set(ORDER_ID, &order.order_id);
    waypost_telemetry::set(ORDER_STATUS, order.status.as_str());
}

/// Look up an order.
#[utoipa::path(
    get, path = "/api/orders/{id}", tag = "orders", operation_id = "get_order",
    params(("id" = OrderId, Path, description = "The order.")),
    responses((status = 200, description = "The order as it stands.", body = OrderBody)),
)]
pub(crate) async fn show(
    State(edge): State<Edge>,
    caller: Caller,
    budget: Budget,
    _: NoParameters,
    Path(id): Path<String>,
) -> Answer {
    let id = order_id(&id)?;
    let request = GetOrderRequest { caller: Some(caller.act_by_id()), order_id: id.to_string() };
    let order = OrderBody::try_from(budget.spend(edge.upstream.order(request)).await?)?;
    describe(&order);
    Ok(Json(order).into_response())
}

/// Cancel an order.
///
/// Possible until the order is paid. Repeating it changes nothing.
#[utoipa::path(
    post, path = "/api/orders/{id}/cancel", tag = "orders", operation_id = "cancel_order",
    params(("id" = OrderId, Path, description = "The order.")),
    responses((status = 200, description = "The order, cancelled.", body = OrderBody)),
)]
pub(crate) async fn cancel(
    State(edge): State<Edge>,
    caller: Caller,
    budget: Budget,
    _: NoParameters,
    Path(id): Path<String>,
) -> Answer {
    let id = order_id(&id)?;
    let request = CancelOrderRequest { caller: Some(caller.act_by_id()), order_id: id.to_string() };
    let order = OrderBody::try_from(budget.spend(edge.upstream.cancel_order(request)).await?)?;
    describe(&order);
    Ok(Json(order).into_response())
}

/// What is not an id is not the id of any order.
fn order_id(text: &str) -> Result<OrderId, Error> {
    let id: OrderId = text.parse().map_err(|_| Error::of(ErrorCode::OrderNotFound))?;
    waypost_telemetry::set(ORDER_ID, &id);
    Ok(id)
}

/// List a user's orders, newest first, a page at a time.
#[utoipa::path(
    get, path = "/api/orders", tag = "orders", operation_id = "list_orders",
    params(
        ("user_id" = UserId, Query, description = "Whose orders."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100, description = "Orders on a page; 20 when left out."),
        ("page_token" = Option<String>, Query, max_length = 512,
            description = "`next_page_token` of the page before."),
    ),
    responses((status = 200, description = "One page.", body = OrderPage)),
)]
pub(crate) async fn list(
    State(edge): State<Edge>,
    caller: Caller,
    budget: Budget,
    mut parameters: Parameters,
) -> Answer {
    let user_id = parameters.required::<UserId>("user_id");
    let page_size = parameters.count("limit", 1, 100);
    let page_token = parameters.optional::<String>("page_token");
    parameters.finish()?;
    let user_id = user_id.ok_or_else(Error::internal)?;
    waypost_telemetry::set(USER_ID, &user_id);
    let request = ListOrdersRequest {
        caller: Some(caller.act_for(&user_id)?),
        user_id: user_id.to_string(),
        page_size: page_size.unwrap_or_default(),
        page_token: page_token.unwrap_or_default(),
    };
    let page = budget.spend(edge.upstream.orders(request)).await?;
    let orders: Result<Vec<OrderBody>, Error> = page.orders.into_iter().map(OrderBody::try_from).collect();
    let next_page_token = Some(page.next_page_token).filter(|token| !token.is_empty());
    Ok(Json(OrderPage { orders: orders?, next_page_token }).into_response())
}
