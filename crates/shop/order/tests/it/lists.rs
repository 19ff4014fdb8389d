//! Reading orders: one, and page by page.

use crate::shop::{Neighbours, Service, Shop, caller, code, error_of, order_for};
use waypost_api::{
    ErrorCode,
    order::v1::{ListOrdersRequest, ListOrdersResponse},
};
use waypost_durable::Files;

async fn page(
    service: &Service,
    asks: &str,
    size: u32,
    token: &str,
) -> Result<ListOrdersResponse, ErrorCode> {
    let request = ListOrdersRequest {
        caller: Some(caller(asks)),
        user_id: "user123".to_owned(),
        page_size: size,
        page_token: token.to_owned(),
    };
    let listed = service.client().list_orders(request).await;
    listed.map(tonic::Response::into_inner).map_err(|status| error_of(&status))
}

#[tokio::test]
async fn an_order_is_shown_to_its_owner_and_to_operators_only() {
    let shop = Shop::open().await;
    let order = shop.service.order().await;
    assert_eq!(shop.service.get(&order.order_id, "user123").await.unwrap(), order);
    assert_eq!(shop.service.get(&order.order_id, "user-admin").await.unwrap(), order);
    assert_eq!(code(shop.service.get(&order.order_id, "mallory").await), ErrorCode::OrderNotFound);
    assert_eq!(code(shop.service.get("no-such-order", "user123").await), ErrorCode::OrderNotFound);
    assert_eq!(code(shop.service.get("not an id", "user123").await), ErrorCode::InvalidRequest);
}

#[tokio::test]
async fn a_list_runs_from_the_newest_order_to_the_oldest_page_by_page() {
    let shop = Shop::open().await;
    let mut placed = Vec::new();
    for _ in 0..5 {
        placed.push(shop.service.order().await.order_id);
    }
    shop.service.create(order_for("user456")).await.unwrap();
    placed.reverse();

    let mut seen = Vec::new();
    let mut token = String::new();
    for expected in [2, 2, 1] {
        let page = page(&shop.service, "user123", 2, &token).await.unwrap();
        assert_eq!(page.orders.len(), expected);
        seen.extend(page.orders.into_iter().map(|order| order.order_id));
        token = page.next_page_token;
    }
    assert_eq!(token, "", "the last page has no token");
    assert_eq!(seen, placed);
}

#[tokio::test]
async fn an_order_that_comes_in_meanwhile_neither_repeats_nor_hides_one() {
    let shop = Shop::open().await;
    for _ in 0..4 {
        shop.service.order().await;
    }
    let first = page(&shop.service, "user123", 2, "").await.unwrap();
    shop.service.order().await;
    let second = page(&shop.service, "user123", 2, &first.next_page_token).await.unwrap();
    let mut ids: Vec<_> = first.orders.iter().chain(&second.orders).map(|order| &order.order_id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 4);
    assert_eq!(second.next_page_token, "");
}

#[tokio::test]
async fn a_list_is_shown_to_its_user_and_to_operators_only() {
    let shop = Shop::open().await;
    shop.service.order().await;
    assert_eq!(page(&shop.service, "user-admin", 0, "").await.unwrap().orders.len(), 1);
    assert_eq!(page(&shop.service, "mallory", 0, "").await, Err(ErrorCode::Forbidden));
}

#[tokio::test]
async fn a_page_that_cannot_be_is_refused() {
    let shop = Shop::open().await;
    assert_eq!(page(&shop.service, "user123", 101, "").await, Err(ErrorCode::InvalidRequest));
    assert_eq!(page(&shop.service, "user123", 0, "nonsense").await, Err(ErrorCode::InvalidPageToken));
    // Once signed with nothing: a place is no token.
    let place = "313739303030303030303030302f6f726465722d31";
    assert_eq!(page(&shop.service, "user123", 0, place).await, Err(ErrorCode::InvalidPageToken));
}

#[tokio::test]
async fn a_page_token_is_good_for_its_own_list_only() {
    let shop = Shop::open().await;
    for _ in 0..2 {
        shop.service.order().await;
    }
    let token = page(&shop.service, "user-admin", 1, "").await.unwrap().next_page_token;
    let of = |user: &str| ListOrdersRequest {
        caller: Some(caller("user-admin")),
        user_id: user.to_owned(),
        page_size: 1,
        page_token: token.clone(),
    };
    let foreign = shop.service.client().list_orders(of("user456")).await.unwrap_err();
    assert_eq!(error_of(&foreign), ErrorCode::InvalidPageToken);
    assert_eq!(shop.service.client().list_orders(of("user123")).await.unwrap().into_inner().orders.len(), 1);
}

#[tokio::test]
async fn a_page_token_outlives_the_process_that_gave_it() {
    let folder = tempfile::tempdir().unwrap();
    let data = Files::Folder(folder.path().to_path_buf());
    let neighbours = Neighbours::start();
    let config = neighbours.config();
    let service = Service::start(&config, &data).await;
    for _ in 0..2 {
        service.order().await;
    }
    let token = page(&service, "user123", 1, "").await.unwrap().next_page_token;
    service.stop().await;
    let service = Service::start(&config, &data).await;
    assert_eq!(page(&service, "user123", 1, &token).await.unwrap().orders.len(), 1);
}
