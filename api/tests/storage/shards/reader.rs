//! Reads a statement's tree; what follows is for [`super::reach`]. Columns that a statement says are equal, in `WHERE`, `ON` and `USING`, through subqueries and
//! inserts, form a class. A chat's table is bound when its chat id is in one class with a parameter, or with a list that
//! is a parameter; so it is by the key of a pair, from which the bucket follows. What stands below an `OR` binds nothing.

use super::{
    classes::Term,
    footprint::{Footprint, chat_key, is_of_people},
};
use sqlparser::ast::{
    BinaryOperator, Delete, Expr, FromTable, InTarget, Insert, JoinConstraint, JoinOperator,
    ObjectName, Query, Select, SelectItem, SetExpr, Statement, TableAlias, TableFactor,
    TableObject, TableWithJoins, Update, UpdateTableFromKind, Value, Visitor,
};
use std::{collections::HashMap, ops::ControlFlow};

/// A column of `chats`. Whoever knows it knows the bucket.
pub(super) const PAIR: &str = "pair_key";

#[derive(Clone, Debug)]
pub(super) enum Source {
    /// A table, or a query's name.
    Named(String),
    /// A query in the place of a table.
    Query(*const Query),
    /// Rows of a parameter.
    List,
}

#[derive(Clone, Debug)]
pub(super) struct Relation {
    pub(super) id: usize,
    pub(super) alias: String,
    pub(super) source: Source,
    /// New names of the columns, if they have any.
    pub(super) columns: Vec<String>,
}

/// What a query gives out: a name and what it is equal to.
#[derive(Clone, Debug, Default)]
pub(super) struct Outputs {
    pub(super) columns: Vec<(Option<String>, Option<Term>)>,
    /// `*` of these.
    pub(super) all_of: Vec<usize>,
}

#[derive(Default)]
pub struct StatementReader {
    pub(super) relations: Vec<Relation>,
    /// The relations that a name may mean, the innermost last.
    pub(super) frames: Vec<Vec<usize>>,
    pub(super) equal: Vec<(Term, Term)>,
    /// These are a row of the query.
    pub(super) within: Vec<(Vec<Option<Term>>, *const Query)>,
    pub(super) outputs: HashMap<*const Query, Outputs>,
    /// Of the select or the statement that has ended last.
    pub(super) last: Outputs,
    /// Queries that have names.
    pub(super) named: HashMap<String, *const Query>,
    pub(super) inserted: Vec<(usize, Vec<String>, *const Query)>,
    pub(super) found: Footprint,
    /// A function that is given the chats.
    pub(super) calls: bool,
    pub(super) unknown: Vec<String>,
}

fn text(name: &ObjectName) -> String {
    name.0.last().map(|part| part.to_string().to_lowercase()).unwrap_or_default()
}

impl StatementReader {
    fn add(&mut self, source: Source, name: &str, alias: Option<&TableAlias>) -> usize {
        let id = self.relations.len();
        let columns = alias
            .iter()
            .flat_map(|alias| &alias.columns)
            .map(|column| column.name.value.clone())
            .collect();
        let alias = alias.map_or(name.to_owned(), |alias| alias.name.value.clone());
        self.relations.push(Relation { id, alias, source, columns });
        id
    }

    fn add_table(&mut self, table: &TableWithJoins) {
        self.add_factor(&table.relation);
        for join in &table.joins {
            self.add_factor(&join.relation);
        }
    }

    fn add_factor(&mut self, factor: &TableFactor) {
        let id = match factor {
            TableFactor::Table { name, alias, args, .. } => {
                let name = text(name);
                let list = args.is_some() && name == "json_each";
                let source = if list { Source::List } else { Source::Named(name.clone()) };
                self.add(source, &name, alias.as_ref())
            }
            TableFactor::Function { name, alias, .. } => {
                let name = text(name);
                self.add(Source::List, &name, alias.as_ref())
            }
            TableFactor::UNNEST { alias, .. } => self.add(Source::List, "unnest", alias.as_ref()),
            TableFactor::Derived { subquery, alias, .. } => {
                self.add(Source::Query(std::ptr::from_ref(&**subquery)), "", alias.as_ref())
            }
            TableFactor::NestedJoin { table_with_joins, .. } => {
                return self.add_table(table_with_joins);
            }
            other => {
                self.unknown.push(format!("a table of a kind that is not known here: {other}"));
                return;
            }
        };
        if let Some(frame) = self.frames.last_mut() {
            frame.push(id);
        }
    }

    fn constrain(&mut self, table: &TableWithJoins) {
        for join in &table.joins {
            let (JoinOperator::Join(by)
            | JoinOperator::Inner(by)
            | JoinOperator::Left(by)
            | JoinOperator::LeftOuter(by)
            | JoinOperator::Right(by)
            | JoinOperator::RightOuter(by)
            | JoinOperator::FullOuter(by)
            | JoinOperator::CrossJoin(by)) = &join.join_operator
            else {
                continue;
            };
            match by {
                JoinConstraint::On(on) => self.conjunction(on),
                JoinConstraint::Using(columns) => {
                    for column in columns {
                        let column = text(column);
                        let frame = self.frames.last().cloned().unwrap_or_default();
                        for pair in frame.windows(2) {
                            let node = |id: usize| Term::Column(id, column.clone());
                            self.equal.push((node(pair[0]), node(pair[1])));
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// What holds for all rows.
    fn conjunction(&mut self, expr: &Expr) {
        match expr {
            Expr::Nested(inner) => self.conjunction(inner),
            Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
                self.conjunction(left);
                self.conjunction(right);
            }
            Expr::BinaryOp { left, op: BinaryOperator::Eq, right } => match (&**left, &**right) {
                (Expr::Tuple(left), Expr::Tuple(right)) => {
                    for (left, right) in left.iter().zip(right) {
                        self.equality(left, right);
                    }
                }
                _ => self.equality(left, right),
            },
            Expr::AnyOp { left, compare_op: BinaryOperator::Eq, right, .. } => {
                if let Some(node) = self.node(left) {
                    let list = match self.node(right) {
                        Some(Term::Value(parameter)) => Term::List(parameter),
                        _ => Term::List(right.to_string()),
                    };
                    self.equal.push((node, list));
                }
            }
            Expr::In { expr, target: InTarget::Subquery(subquery), negated: false, .. } => {
                let row = match &**expr {
                    Expr::Tuple(row) => row.iter().map(|expr| self.node(expr)).collect(),
                    one => vec![self.node(one)],
                };
                self.within.push((row, std::ptr::from_ref(&**subquery)));
            }
            _ => {}
        }
    }

    fn equality(&mut self, left: &Expr, right: &Expr) {
        for (one, other) in [(left, right), (right, left)] {
            if let Expr::Subquery(query) = other {
                self.within.push((vec![self.node(one)], std::ptr::from_ref(&**query)));
            }
        }
        if let (Some(left), Some(right)) = (self.node(left), self.node(right)) {
            self.equal.push((left, right));
        }
    }

    fn node(&self, expr: &Expr) -> Option<Term> {
        match expr {
            Expr::Nested(inner) | Expr::Cast { expr: inner, .. } => self.node(inner),
            Expr::Value(value) => match &value.value {
                Value::Placeholder(name) => Some(Term::Value(name.clone())),
                Value::Number(number, _) => Some(Term::Value(number.clone())),
                _ => None,
            },
            // The program gives the bucket, and with it the server.
            Expr::Function(function) if text(&function.name) == "next_chat_id" => {
                let bucket = function.args.to_string();
                let one = bucket.starts_with("($");
                Some(if one { Term::Value(bucket) } else { Term::List(bucket) })
            }
            Expr::CompoundIdentifier(parts) => {
                let [alias, column] = parts.as_slice() else { return None };
                let mut frames = self.frames.iter().rev().flatten();
                let id = *frames.find(|id| self.relations[**id].alias == alias.value)?;
                Some(Term::Column(id, column.value.clone()))
            }
            Expr::Identifier(column) => {
                // The nearest one that may have it.
                let may = |id: &&usize| match &self.relations[**id].source {
                    Source::Named(table) => {
                        chat_key(table) == Some(&column.value)
                            || (table == "chats" && column.value == PAIR)
                            || self.named.contains_key(table)
                    }
                    Source::Query(_) | Source::List => true,
                };
                let id = *self.frames.iter().rev().find_map(|frame| frame.iter().find(may))?;
                Some(Term::Column(id, column.value.clone()))
            }
            _ => None,
        }
    }

    fn give_out(&self, items: &[SelectItem]) -> Outputs {
        let mut outputs = Outputs::default();
        let frame = self.frames.last().cloned().unwrap_or_default();
        for item in items {
            match item {
                SelectItem::UnnamedExpr(expr) => {
                    let node = self.node(expr);
                    let name = match &node {
                        Some(Term::Column(_, column)) => Some(column.clone()),
                        _ => None,
                    };
                    outputs.columns.push((name, node));
                }
                SelectItem::ExprWithAlias { expr, alias } => {
                    outputs.columns.push((Some(alias.value.clone()), self.node(expr)));
                }
                SelectItem::Wildcard(_) => outputs.all_of.extend(frame.iter().copied()),
                SelectItem::QualifiedWildcard(..) | SelectItem::ExprWithAliases { .. } => {
                    outputs.all_of.extend(frame.iter().copied());
                }
            }
        }
        outputs
    }

    fn write(&mut self, table: &str) {
        if chat_key(table).is_some() {
            self.found.writes_chats = true;
        } else if is_of_people(table) {
            self.found.writes_people = true;
        }
    }

    fn begin(&mut self, statement: &Statement) {
        self.frames.push(Vec::new());
        match statement {
            Statement::Insert(Insert {
                table: TableObject::TableName(name),
                table_alias,
                columns,
                source,
                ..
            }) => {
                let table = text(name);
                self.write(&table);
                let id = self.add(Source::Named(table.clone()), &table, None);
                if let Some(alias) = table_alias {
                    self.relations[id].alias.clone_from(&alias.alias.value);
                }
                if let Some(frame) = self.frames.last_mut() {
                    frame.push(id);
                }
                if let Some(source) = source {
                    let columns = columns.iter().map(text).collect();
                    self.inserted.push((id, columns, std::ptr::from_ref(&**source)));
                }
            }
            Statement::Update(Update { table, from, selection, .. }) => {
                if let TableFactor::Table { name, .. } = &table.relation {
                    self.write(&text(name));
                }
                self.add_table(table);
                if let Some(UpdateTableFromKind::AfterSet(tables)) = from {
                    tables.iter().for_each(|table| self.add_table(table));
                    tables.iter().for_each(|table| self.constrain(table));
                }
                selection.iter().for_each(|expr| self.conjunction(expr));
            }
            Statement::Delete(Delete { from, using, selection, .. }) => {
                let (FromTable::WithFromKeyword(tables) | FromTable::WithoutKeyword(tables)) = from;
                for table in tables {
                    if let TableFactor::Table { name, .. } = &table.relation {
                        self.write(&text(name));
                    }
                    self.add_table(table);
                }
                using.iter().flatten().for_each(|table| self.add_table(table));
                using.iter().flatten().for_each(|table| self.constrain(table));
                selection.iter().for_each(|expr| self.conjunction(expr));
            }
            _ => {}
        }
    }

    fn end(&mut self, statement: &Statement) {
        let returning = match statement {
            Statement::Insert(insert) => insert.returning.as_deref(),
            Statement::Update(update) => update.returning.as_deref(),
            Statement::Delete(delete) => delete.returning.as_deref(),
            _ => None,
        };
        self.last = self.give_out(returning.unwrap_or_default());
        self.frames.pop();
    }
}

impl Visitor for StatementReader {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        if !query.locks.is_empty() {
            self.found.locks = true;
        }
        for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
            self.named.insert(cte.alias.name.value.clone(), std::ptr::from_ref(&*cte.query));
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let outputs = match &*query.body {
            SetExpr::Select(_) | SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) => {
                std::mem::take(&mut self.last)
            }
            // A row of values that all are parameters.
            SetExpr::Values(values) if values.rows.len() == 1 => Outputs {
                columns: values.rows[0]
                    .content
                    .iter()
                    .map(|expr| (None, self.node(expr)))
                    .collect(),
                all_of: Vec::new(),
            },
            _ => Outputs::default(),
        };
        self.outputs.insert(std::ptr::from_ref(query), outputs);
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        // What these touch their scripts say.
        if let Expr::Function(function) = expr
            && ["post_one", "post_plain"].contains(&text(&function.name).as_str())
        {
            let owned =
                |tables: &[&str]| tables.iter().map(|&table| table.to_owned()).collect::<Vec<_>>();
            self.found.people.extend(owned(&["users"]));
            self.found.chats.extend(owned(&["chats", "members", "messages", "bans", "statistics"]));
            self.found.writes_chats = true;
            self.calls = true;
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        self.frames.push(Vec::new());
        select.from.iter().for_each(|table| self.add_table(table));
        select.from.iter().for_each(|table| self.constrain(table));
        select.selection.iter().for_each(|expr| self.conjunction(expr));
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        self.last = self.give_out(&select.projection);
        self.frames.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_statement(&mut self, statement: &Statement) -> ControlFlow<()> {
        self.begin(statement);
        ControlFlow::Continue(())
    }

    fn post_visit_statement(&mut self, statement: &Statement) -> ControlFlow<()> {
        self.end(statement);
        ControlFlow::Continue(())
    }
}
