//! A customer on a visit: takes the steps of a journey until one fails or it is time to leave.

use std::time::Duration;

use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::{
    client::{Answer, Client, Failure},
    deadline::Deadline,
    journeys::{Journey, Step},
};

struct Customer {
    client: Client,
    number: i64,
    seen: Vec<i64>,
    cart: i64,
    session: Option<String>,
    order: i64,
}

/// Makes the visit; a customer who meets an error goes.
pub(crate) async fn visit(client: Client, journey: Journey, leaving: Deadline) {
    let mut customer = Customer {
        client,
        number: journey.customer,
        seen: Vec::new(),
        cart: 0,
        session: None,
        order: 0,
    };
    for (thought, step) in journey.steps {
        tokio::select! {
            () = leaving.passed() => return,
            () = sleep(thought) => {}
        }
        if let Step::Track { at_most } = step {
            tokio::select! {
                () = leaving.passed() => {}
                _ = customer.track(at_most.unwrap_or(LONGEST_TRACKING)) => {}
            }
            return;
        }
        match customer.take(step).await {
            Ok(answer) if !answer.status.is_server_error() => customer.learn(step, &answer.body),
            Ok(_) => return,
            Err(error) => {
                tracing::debug!(%error, "a customer's request failed");
                return;
            }
        }
    }
}

impl Customer {
    async fn take(&self, step: Step) -> Result<Answer, Failure> {
        let Self {
            number,
            cart,
            order,
            ..
        } = self;
        match step {
            Step::ListRestaurants => self.get("/restaurants").await,
            Step::ReadMenu { restaurant } => {
                self.get(&format!("/restaurants/{restaurant}/dishes")).await
            }
            Step::ViewDish { choice } => {
                let dish = self.chosen(choice);
                self.get(&format!("/dishes/{dish}")).await
            }
            Step::Search { text } => self.get(&format!("/search?q={text}")).await,
            Step::ExportSales { restaurant } => {
                self.get(&format!("/restaurants/{restaurant}/sales.csv"))
                    .await
            }
            Step::OpenCart => {
                self.post(
                    "/carts",
                    json!({ "customer": format!("customer-{number}") }),
                )
                .await
            }
            Step::AddItem { choice, quantity } => {
                let item = json!({ "dish": self.chosen(choice), "quantity": quantity });
                self.post(&format!("/carts/{cart}/items"), item).await
            }
            Step::ViewCart => self.get(&format!("/carts/{cart}")).await,
            Step::AddFavorite { choice } => {
                self.post("/favorites", json!({ "dish": self.chosen(choice) }))
                    .await
            }
            Step::LogIn { mistyped } => {
                let typed = if mistyped { "passwrod" } else { "password" };
                let credentials = json!({
                    "customer": format!("customer-{number}"),
                    "password": format!("{typed}-{number}"),
                });
                self.post("/login", credentials).await
            }
            Step::PlaceOrder { coupon, payment } => {
                let order = json!({ "cart": cart, "coupon": coupon, "payment": payment });
                self.post("/orders", order).await
            }
            Step::Pay { card } => {
                self.post(&format!("/orders/{order}/payment"), json!({ "card": card }))
                    .await
            }
            Step::LookAtOrder | Step::Track { .. } => self.get(&format!("/orders/{order}")).await,
        }
    }

    /// One of the dishes seen so far. A search may have found nothing; the first dish is always
    /// there.
    fn chosen(&self, choice: usize) -> i64 {
        let dish = self.seen.get(choice % self.seen.len().max(1));
        dish.copied().unwrap_or(1)
    }

    async fn get(&self, path: &str) -> Result<Answer, Failure> {
        self.client.get(path, self.session.as_deref()).await
    }

    async fn post(&self, path: &str, body: Value) -> Result<Answer, Failure> {
        self.client.post(path, self.session.as_deref(), &body).await
    }

    /// Keeps what later steps need.
    fn learn(&mut self, step: Step, answer: &Value) {
        let id = answer["id"].as_i64();
        match step {
            Step::ReadMenu { .. } | Step::Search { .. } => {
                let dishes = answer.as_array().into_iter().flatten();
                self.seen = dishes.filter_map(|dish| dish["id"].as_i64()).collect();
            }
            Step::OpenCart => self.cart = id.unwrap_or_default(),
            Step::PlaceOrder { .. } => self.order = id.unwrap_or_default(),
            Step::LogIn { .. } => self.session = answer["token"].as_str().map(str::to_owned),
            _ => {}
        }
    }

    /// Reads the order's stages as they come, for so long; dropping the body hangs up.
    async fn track(&self, at_most: Duration) -> Result<(), Failure> {
        let path = format!("/orders/{}/track", self.order);
        let session = self.session.as_deref();
        let mut stages = self.client.open(&path, session).await?.into_body();
        let reading = async {
            while let Some(frame) = stages.frame().await {
                frame?;
            }
            Ok(())
        };
        timeout(at_most, reading).await.unwrap_or(Ok(()))
    }
}

/// Tracking ends on its own within this time, or the customer gives up.
const LONGEST_TRACKING: Duration = Duration::from_secs(10);
