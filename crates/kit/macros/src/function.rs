//! The function with a span around its body.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::visit_mut::{self, VisitMut};
use syn::{Error, Expr, ExprAsync, FnArg, Ident, ItemFn, Pat, Result, ReturnType, Stmt, Type, parse_quote};

use crate::arguments::{Arguments, Field, Outcome};

pub(crate) fn expand(arguments: &Arguments, mut function: ItemFn) -> Result<TokenStream> {
    if let Some(constant) = &function.sig.constness {
        return Err(Error::new_spanned(constant, "a const fn cannot have a span"));
    }
    let builder = builder(arguments, &function)?;
    let output = output_of(&function.sig.output);

    if function.sig.asyncness.is_some() {
        let body = &function.block;
        let work = run(arguments, &builder, &output, &body.stmts, returns_result(&output));
        *function.block = parse_quote!({ #work.await });
    } else if let Some(boxed) = boxed_future(&mut function.block.stmts) {
        let returned = future_output(&output);
        let known = returned.clone().unwrap_or_else(|| parse_quote!(_));
        let stmts = boxed.block.stmts.clone();
        let is_result = returned.as_ref().is_some_and(returns_result);
        let work = run(arguments, &builder, &known, &stmts, is_result);
        *boxed = parse_quote!(async move { #work.await });
    } else {
        let stmts = &function.block.stmts;
        let known = without_impl(&output);
        let work = match kind_of_end(arguments, returns_result(&output)) {
            End::Plain => quote!(#builder.in_scope(move || -> #known { #(#stmts)* })),
            End::Result => quote!(#builder.try_in_scope(move || -> #known { #(#stmts)* })),
            End::With(classify) => {
                quote!(#builder.try_in_scope_with(move || -> #known { #(#stmts)* }, #classify))
            }
        };
        *function.block = parse_quote!({ #work });
    }
    Ok(function.into_token_stream())
}

enum End<'a> {
    Plain,
    Result,
    With(&'a Expr),
}

fn kind_of_end(arguments: &Arguments, is_result: bool) -> End<'_> {
    match &arguments.outcome {
        Outcome::With(classify) => End::With(classify),
        Outcome::Result => End::Result,
        Outcome::ByType if is_result => End::Result,
        Outcome::ByType | Outcome::Ignored => End::Plain,
    }
}

/// The future of the body inside its span.
fn run(
    arguments: &Arguments,
    builder: &TokenStream,
    output: &Type,
    stmts: &[Stmt],
    is_result: bool,
) -> TokenStream {
    let known = without_impl(output);
    // Says the type of the block, which nothing else does: `?` needs it.
    let future = quote!(async move {
        #[allow(unreachable_code, clippy::diverging_sub_expression)]
        if false {
            let never: #known = ::std::unreachable!();
            return never;
        }
        #(#stmts)*
    });
    match kind_of_end(arguments, is_result) {
        End::Plain => quote!(#builder.observe(#future)),
        End::Result => quote!(#builder.run(#future)),
        End::With(classify) => quote!(#builder.run_with(#future, #classify)),
    }
}

/// `span("name").scope(..).kind(..).attr(..)`.
fn builder(arguments: &Arguments, function: &ItemFn) -> Result<TokenStream> {
    let home = arguments.home.as_ref().map_or_else(|| quote!(::waypost_telemetry), ToTokens::to_token_stream);
    let name = match &arguments.name {
        Some(name) => name.to_token_stream(),
        None => function.sig.ident.to_string().trim_start_matches("r#").to_token_stream(),
    };
    let kind = arguments.kind.iter().map(|kind| quote!(.kind(#home::opentelemetry::trace::SpanKind::#kind)));
    let parameters = parameters(function);
    if let Some(unknown) = arguments.skip.iter().find(|skipped| !parameters.contains(skipped)) {
        return Err(Error::new(unknown.span(), "there is no parameter of this name"));
    }
    let all = parameters.iter().filter(|name| arguments.all && !arguments.skip.contains(name));
    let named = |name: &&Ident| !arguments.fields.iter().any(|field| **name == field.key);
    let all = all.filter(named).map(|name| Field::debug(name).call());
    let fields = arguments.fields.iter().map(Field::call);
    // Looked up where the function is compiled: the crate of the user.
    let scope = quote!({
        static SCOPE: #home::CodeScope = #home::CodeScope::new(
            match ::core::option_env!("CARGO_PKG_NAME") {
                ::core::option::Option::Some(name) => name,
                ::core::option::Option::None => ::core::module_path!(),
            },
            ::core::option_env!("CARGO_PKG_VERSION"),
        );
        &SCOPE
    });
    Ok(quote!(#home::span(#name).scope(#scope) #(#kind)* #(#all)* #(#fields)*))
}

/// The names bound by the parameters, but not `self`.
fn parameters(function: &ItemFn) -> Vec<Ident> {
    let mut names = Vec::new();
    for input in &function.sig.inputs {
        if let FnArg::Typed(typed) = input {
            collect(&typed.pat, &mut names);
        }
    }
    names
}

fn collect(pattern: &Pat, names: &mut Vec<Ident>) {
    match pattern {
        Pat::Ident(ident) => names.push(ident.ident.clone()),
        Pat::Reference(reference) => collect(&reference.pat, names),
        Pat::Type(typed) => collect(&typed.pat, names),
        Pat::Tuple(tuple) => tuple.elems.iter().for_each(|element| collect(element, names)),
        Pat::TupleStruct(tuple) => tuple.elems.iter().for_each(|element| collect(element, names)),
        Pat::Struct(fields) => fields.fields.iter().for_each(|field| collect(&field.pat, names)),
        _ => {}
    }
}

fn output_of(output: &ReturnType) -> Type {
    match output {
        ReturnType::Default => parse_quote!(()),
        ReturnType::Type(_, output) => (**output).clone(),
    }
}

/// Whether a type is written as `..Result` or `..Result<..>`.
fn returns_result(output: &Type) -> bool {
    match output {
        Type::Path(path) => path.path.segments.last().is_some_and(|last| last.ident == "Result"),
        Type::Paren(inner) => returns_result(&inner.elem),
        Type::Group(inner) => returns_result(&inner.elem),
        _ => false,
    }
}

/// The `Output` of `Pin<Box<dyn Future<Output = T> + ..>>`.
fn future_output(output: &Type) -> Option<Type> {
    struct Find(Option<Type>);
    impl VisitMut for Find {
        fn visit_assoc_type_mut(&mut self, found: &mut syn::AssocType) {
            if found.ident == "Output" {
                self.0.get_or_insert_with(|| found.ty.clone());
            }
        }
    }
    let mut find = Find(None);
    find.visit_type_mut(&mut output.clone());
    find.0
}

/// The block of `Box::pin(async move { .. })`, if that is how the body ends: what `async_trait` writes.
fn boxed_future(stmts: &mut [Stmt]) -> Option<&mut ExprAsync> {
    let Some(Stmt::Expr(Expr::Call(call), None)) = stmts.last_mut() else { return None };
    let Expr::Path(called) = &*call.func else { return None };
    let names: Vec<String> = called.path.segments.iter().map(|segment| segment.ident.to_string()).collect();
    if !names.ends_with(&["Box".to_owned(), "pin".to_owned()]) || call.args.len() != 1 {
        return None;
    }
    match call.args.first_mut() {
        Some(Expr::Async(block)) => Some(block),
        _ => None,
    }
}

/// `impl Trait` cannot be the type of a variable or of a closure; the compiler finds what it is.
fn without_impl(output: &Type) -> Type {
    struct Erase;
    impl VisitMut for Erase {
        fn visit_type_mut(&mut self, found: &mut Type) {
            if matches!(found, Type::ImplTrait(_)) {
                *found = parse_quote!(_);
            } else {
                visit_mut::visit_type_mut(self, found);
            }
        }
    }
    let mut output = output.clone();
    Erase.visit_type_mut(&mut output);
    output
}
