//! Observability for food-delivery services.
