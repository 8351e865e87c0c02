//! The bridge between the vault's words and Cedar's: entity types, and the entities and context of one request.
//!
//! Only the two entities that a request is about are made, for each decision anew: a hundred thousand accounts cost
//! nothing until they ask.

use std::collections::{HashMap, HashSet};

use cedar_policy::{
    Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, Request as CedarRequest, RestrictedExpression,
    Schema,
};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use vault_catalog::{Account, Catalog, Class};
use vault_domain::{Action, Millis, Reason};

use crate::{
    fault::FoundEntity,
    request::{Ask, Circumstances, DataScope, Log, NODE, Request},
};

/// What Cedar needs to answer one request.
pub(crate) type Facts = (CedarRequest, Entities);

/// The types of the schema. All fields but the schema are names of the namespace `Vault`.
pub(crate) struct Vocabulary {
    pub(crate) schema: Schema,
    service: EntityTypeName,
    data_class: EntityTypeName,
    access_log: EntityTypeName,
    tenant: EntityTypeName,
    region: EntityTypeName,
    audience: EntityTypeName,
    purpose: EntityTypeName,
    rule: EntityTypeName,
    format: EntityTypeName,
    determinism: EntityTypeName,
    credential: EntityTypeName,
    role: EntityTypeName,
    level: EntityTypeName,
    action: EntityTypeName,
}

impl Vocabulary {
    /// # Errors
    /// With Cedar's words if the schema is none: a fault of the build.
    pub(crate) fn new(schema: &str) -> Result<Self, String> {
        let (schema, _) = Schema::from_cedarschema_str(schema).map_err(|error| error.to_string())?;
        let name = |name: &str| format!("Vault::{name}").parse::<EntityTypeName>().map_err(|error| error.to_string());
        Ok(Self {
            schema,
            service: name("Service")?,
            data_class: name("DataClass")?,
            access_log: name("AccessLog")?,
            tenant: name("Tenant")?,
            region: name("Region")?,
            audience: name("Audience")?,
            purpose: name("Purpose")?,
            rule: name("Rule")?,
            format: name("Format")?,
            determinism: name("Determinism")?,
            credential: name("Credential")?,
            role: name("Role")?,
            level: name("Level")?,
            action: name("Action")?,
        })
    }

    /// The entities and the context of a request. None if Cedar does not take them, which is a fault of this module.
    ///
    /// # Errors
    /// With the reason for the log if the catalog lacks a name of the request.
    pub(crate) fn facts(&self, catalog: &Catalog, request: &Request<'_>) -> Result<Option<Facts>, Reason> {
        let account = catalog.account(request.principal.as_str()).ok_or(Reason::PrincipalUnknown)?;
        let purpose = request.purpose.map(|purpose| purpose.as_str());
        if purpose.is_some_and(|purpose| catalog.purpose(purpose).is_none()) {
            return Err(Reason::PurposeUnknown);
        }
        let mut context = Vec::with_capacity(5);
        let action = request.ask.action();
        let scopes = request.circumstances.session.map_or(&[][..], |session| &session.scopes);
        let (granted, resource) = match request.ask {
            Ask::Data(_, scope) | Ask::Detokenize(scope, _) => {
                let class = self.data(catalog, &scope, &mut context)?;
                let (class_name, audience) = (scope.class.as_str(), scope.audience.as_str());
                let level = request.ask.level();
                if let Some(level) = level {
                    context.push(("level".to_owned(), name(&self.level, level.name())));
                }
                let granted = account.covers_data(action, level, class_name, audience, purpose, scopes);
                (granted, self.class_entity(class))
            }
            Ask::Log(_, log) => {
                self.log(catalog, log, &mut context)?;
                let entity = Entity::with_uid(uid(&self.access_log, log.name()));
                (account.covers_log(action, purpose, scopes), Some(entity))
            }
        };
        context.push(("granted".to_owned(), RestrictedExpression::new_bool(granted)));
        if let Some(purpose) = purpose {
            context.push(("purpose".to_owned(), name(&self.purpose, purpose)));
        }
        let Some(caller) = self.caller(&request.circumstances) else { return Ok(None) };
        context.push(("caller".to_owned(), caller));
        Ok(resource.and_then(|resource| self.assemble(account, action, resource, context)))
    }

    /// The role that a literal of a policy names, if it names one.
    pub(crate) fn role_of<'u>(&self, uid: &'u EntityUid) -> Option<&'u str> {
        (*uid.type_name() == self.role).then(|| uid.id().as_ref())
    }

    /// What kind of entity a literal of a policy names, and whether the catalog has it. None for types that the
    /// validator knows all entities of.
    pub(crate) fn find(&self, catalog: &Catalog, uid: &EntityUid) -> Option<FoundEntity> {
        let (kind, id) = (uid.type_name(), uid.id().unescaped());
        let (kind, exists) = if *kind == self.service {
            ("account", catalog.account(id).is_some())
        } else if *kind == self.data_class {
            ("data class", catalog.class(id).is_some())
        } else if *kind == self.access_log {
            ("region (or \"node\")", id == NODE || catalog.region(id).is_some())
        } else if *kind == self.tenant {
            ("tenant", catalog.tenant(id).is_some())
        } else if *kind == self.region {
            ("region", catalog.region(id).is_some())
        } else if *kind == self.audience {
            ("audience", catalog.audience(id).is_some())
        } else if *kind == self.purpose {
            ("purpose", catalog.purpose(id).is_some())
        } else {
            return None;
        };
        Some(FoundEntity { kind, id: id.to_owned(), exists })
    }

    fn data<'c>(
        &self,
        catalog: &'c Catalog,
        scope: &DataScope<'_>,
        context: &mut Vec<(String, RestrictedExpression)>,
    ) -> Result<&'c Class, Reason> {
        let class = catalog.class(scope.class.as_str()).ok_or(Reason::DataClassUnknown)?;
        catalog.audience(scope.audience.as_str()).ok_or(Reason::AudienceUnknown)?;
        catalog.region(scope.region.as_str()).ok_or(Reason::RegionUnknown)?;
        context.push(("region".to_owned(), name(&self.region, scope.region.as_str())));
        context.push(("audience".to_owned(), name(&self.audience, scope.audience.as_str())));
        Ok(class)
    }

    fn log(
        &self,
        catalog: &Catalog,
        log: Log<'_>,
        context: &mut Vec<(String, RestrictedExpression)>,
    ) -> Result<(), Reason> {
        if let Log::Region(region) = log {
            catalog.region(region.as_str()).ok_or(Reason::RegionUnknown)?;
            context.push(("region".to_owned(), name(&self.region, region.as_str())));
        }
        Ok(())
    }

    /// What is known of the caller. None if its time is none that Cedar knows.
    fn caller(&self, circumstances: &Circumstances<'_>) -> Option<RestrictedExpression> {
        let session = circumstances.session;
        let credential = if session.is_some() { "access_token" } else { "certificate" };
        let roles = session.into_iter().flat_map(|session| &session.roles);
        let scopes = session.into_iter().flat_map(|session| &session.scopes);
        let mut fields = vec![
            ("credential".to_owned(), name(&self.credential, credential)),
            ("roles".to_owned(), RestrictedExpression::new_set(roles.map(|role| name(&self.role, role.as_str())))),
            (
                "scopes".to_owned(),
                RestrictedExpression::new_set(
                    scopes.map(|scope| RestrictedExpression::new_string(scope.as_str().to_owned())),
                ),
            ),
            ("now".to_owned(), RestrictedExpression::new_datetime(datetime(circumstances.now)?)),
        ];
        if let Some(source) = circumstances.source {
            fields.push(("source".to_owned(), RestrictedExpression::new_ip(source.to_string())));
        }
        if let Some(regions) = session.and_then(|session| session.clearance.as_ref()) {
            let regions = regions.iter().map(|region| name(&self.region, region.as_str()));
            fields.push(("clearance".to_owned(), RestrictedExpression::new_set(regions)));
        }
        if let Some(assurance) = session.and_then(|session| session.assurance) {
            let level = i64::from(assurance.level());
            fields.push(("assurance".to_owned(), RestrictedExpression::new_long(level)));
        }
        if let Some(then) = session.and_then(|session| session.authenticated_at) {
            // In whole seconds of both, as the decision cache counts them. A time to come is no proof of anything.
            let age = seconds(circumstances.now).checked_sub(seconds(then));
            if let Some(age) = age.and_then(|age| i64::try_from(age).ok()) {
                fields.push(("authenticated_seconds".to_owned(), RestrictedExpression::new_long(age)));
            }
        }
        RestrictedExpression::new_record(fields).ok()
    }

    fn assemble(
        &self,
        account: &Account,
        action: Action,
        resource: Entity,
        context: Vec<(String, RestrictedExpression)>,
    ) -> Option<Facts> {
        let context = Context::from_pairs(context).ok()?;
        let principal = uid(&self.service, account.principal().as_str());
        let action = uid(&self.action, action.name());
        // The request is checked against the schema, for little; the entities are not, for that would cost more than
        // the decision: the tests check what is made here.
        let request = CedarRequest::new(principal, action, resource.uid(), context, Some(&self.schema)).ok()?;
        let entities = Entities::from_entities([self.service_entity(account)?, resource], None).ok()?;
        Some((request, entities))
    }

    fn service_entity(&self, account: &Account) -> Option<Entity> {
        let audiences = account.audiences().iter().map(|audience| name(&self.audience, audience.as_str()));
        let regions = account.regions().iter().map(|region| name(&self.region, region.as_str()));
        let attributes = HashMap::from([
            ("tenant".to_owned(), name(&self.tenant, account.tenant().as_str())),
            ("audiences".to_owned(), RestrictedExpression::new_set(audiences)),
            ("regions".to_owned(), RestrictedExpression::new_set(regions)),
        ]);
        Entity::new(uid(&self.service, account.principal().as_str()), attributes, HashSet::new()).ok()
    }

    fn class_entity(&self, class: &Class) -> Option<Entity> {
        let mut attributes = HashMap::from([
            ("rule".to_owned(), name(&self.rule, class.rule_name().name())),
            ("format".to_owned(), name(&self.format, class.format().name())),
            ("determinism".to_owned(), name(&self.determinism, class.determinism().name())),
            ("purpose_required".to_owned(), RestrictedExpression::new_bool(class.purpose_required())),
        ]);
        let step_up = class.step_up().map(|step_up| {
            let age_max = i64::try_from(step_up.age_max.as_secs()).unwrap_or(i64::MAX);
            [
                ("step_up_assurance".to_owned(), RestrictedExpression::new_long(step_up.assurance.level().into())),
                ("step_up_seconds".to_owned(), RestrictedExpression::new_long(age_max)),
            ]
        });
        attributes.extend(step_up.into_iter().flatten());
        Entity::new(uid(&self.data_class, class.id().as_str()), attributes, HashSet::new()).ok()
    }
}

/// Whole seconds since 1970.
pub(crate) fn seconds(time: Millis) -> u64 {
    time.0 / 1000
}

/// A time to the second, as Cedar reads it: `2026-11-21T07:05:00Z`.
fn datetime(time: Millis) -> Option<String> {
    let seconds = i64::try_from(seconds(time)).ok()?;
    OffsetDateTime::from_unix_timestamp(seconds).ok()?.format(&Rfc3339).ok()
}

fn uid(kind: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id))
}

fn name(kind: &EntityTypeName, id: &str) -> RestrictedExpression {
    RestrictedExpression::new_entity_uid(uid(kind, id))
}

#[cfg(test)]
mod tests;
