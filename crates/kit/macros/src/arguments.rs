//! What stands in the parentheses of `#[traced(..)]`.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote};
use syn::ext::IdentExt as _;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Error, Expr, Ident, Lit, LitStr, Path, Result, Token, parenthesized, token};

#[derive(Default)]
pub(crate) struct Arguments {
    pub(crate) name: Option<Expr>,
    pub(crate) kind: Option<TokenStream>,
    pub(crate) fields: Vec<Field>,
    pub(crate) all: bool,
    pub(crate) skip: Vec<Ident>,
    pub(crate) outcome: Outcome,
    pub(crate) home: Option<Path>,
}

/// What decides how the span ends.
#[derive(Default)]
pub(crate) enum Outcome {
    /// The return type says whether it is a result.
    #[default]
    ByType,
    Result,
    With(Expr),
    Ignored,
}

/// One attribute of the span.
pub(crate) struct Field {
    pub(crate) key: String,
    pub(crate) value: TokenStream,
    form: Form,
}

enum Form {
    AsIs,
    Display,
    Debug,
}

impl Field {
    pub(crate) fn debug(parameter: &Ident) -> Self {
        Self { key: parameter.unraw().to_string(), value: quote!(#parameter), form: Form::Debug }
    }

    /// The call on the builder.
    pub(crate) fn call(&self) -> TokenStream {
        let Self { key, value, form } = self;
        match form {
            Form::AsIs => quote!(.attr_with(#key, || #value)),
            Form::Display => quote!(.attr_with(#key, || ::std::string::ToString::to_string(&#value))),
            Form::Debug => quote!(.attr_with(#key, || ::std::format!("{:?}", &#value))),
        }
    }
}

impl Parse for Field {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut form = form(input)?;
        let key = if input.peek(LitStr) { input.parse::<LitStr>()?.value() } else { dotted(input)? };
        let value = if input.parse::<Option<Token![=]>>()?.is_some() {
            if matches!(form, Form::AsIs) {
                form = self::form(input)?;
            }
            input.parse::<Expr>()?.to_token_stream()
        } else {
            if key.contains('.') {
                return Err(input.error("a key with dots needs a value: `order.id = order.id`"));
            }
            syn::parse_str::<Ident>(&key)?.to_token_stream()
        };
        Ok(Self { key, value, form })
    }
}

fn form(input: ParseStream<'_>) -> Result<Form> {
    Ok(if input.parse::<Option<Token![%]>>()?.is_some() {
        Form::Display
    } else if input.parse::<Option<Token![?]>>()?.is_some() {
        Form::Debug
    } else {
        Form::AsIs
    })
}

/// `order.id`; also with keywords in it, as in `error.type`.
fn dotted(input: ParseStream<'_>) -> Result<String> {
    let mut key = Ident::parse_any(input)?.unraw().to_string();
    while input.parse::<Option<Token![.]>>()?.is_some() {
        key.push('.');
        key.push_str(&Ident::parse_any(input)?.unraw().to_string());
    }
    Ok(key)
}

impl Parse for Arguments {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut arguments = Self::default();
        while !input.is_empty() {
            let word = Ident::parse_any(input)?;
            match word.to_string().as_str() {
                "name" => arguments.name = Some(value(input)?),
                "kind" => arguments.kind = Some(kind(input)?),
                "fields" => arguments.fields.extend(list::<Field>(input)?),
                "args" => arguments.all = true,
                "skip" => arguments.skip.extend(list::<Ident>(input)?),
                "err" => arguments.outcome = outcome(input)?,
                "crate" => {
                    input.parse::<Token![=]>()?;
                    arguments.home = Some(input.parse()?);
                }
                other => {
                    let known = "name, kind, fields, args, skip, err and crate";
                    return Err(Error::new(word.span(), format!("`{other}` is none of {known}")));
                }
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        if let (false, Some(skipped)) = (arguments.all, arguments.skip.first()) {
            return Err(Error::new(
                skipped.span(),
                "`skip` needs `args`: parameters are not recorded by themselves",
            ));
        }
        Ok(arguments)
    }
}

fn value(input: ParseStream<'_>) -> Result<Expr> {
    input.parse::<Token![=]>()?;
    input.parse()
}

fn list<T: Parse>(input: ParseStream<'_>) -> Result<Punctuated<T, Token![,]>> {
    let content;
    let _: token::Paren = parenthesized!(content in input);
    Punctuated::parse_terminated(&content)
}

fn kind(input: ParseStream<'_>) -> Result<TokenStream> {
    input.parse::<Token![=]>()?;
    let text: LitStr = input.parse()?;
    let variant = match text.value().to_ascii_lowercase().as_str() {
        "client" => "Client",
        "server" => "Server",
        "producer" => "Producer",
        "consumer" => "Consumer",
        "internal" => "Internal",
        _ => {
            let kinds = "client, server, producer, consumer and internal";
            return Err(Error::new(text.span(), format!("the kinds are {kinds}")));
        }
    };
    Ok(Ident::new(variant, Span::call_site()).to_token_stream())
}

fn outcome(input: ParseStream<'_>) -> Result<Outcome> {
    if !input.peek(Token![=]) {
        return Ok(Outcome::Result);
    }
    Ok(match value(input)? {
        Expr::Lit(literal) if matches!(&literal.lit, Lit::Bool(wanted) if !wanted.value) => Outcome::Ignored,
        Expr::Lit(literal) if matches!(literal.lit, Lit::Bool(_)) => Outcome::Result,
        classify => Outcome::With(classify),
    })
}
