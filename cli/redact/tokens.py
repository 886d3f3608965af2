"""Tokens that services mark by a prefix of their own, so that they are recognised anywhere.

The prefixes are facts: those of the rules of gitleaks (as of July 2026) and of the services' own
documentation. What follows a prefix has at least the given length.
"""

from typing import Final

_HEX: Final = "[A-Fa-f0-9]"
_ALNUM: Final = "[A-Za-z0-9]"
_WORD: Final = "[A-Za-z0-9_-]"
_BASE64: Final = "[A-Za-z0-9+/_=-]"
_DOTTED: Final = "[A-Za-z0-9._=-]"

PREFIXED: Final[tuple[tuple[str, str, int, str], ...]] = (
    # Models and services around them
    ("Anyscale", _ALNUM, 20, "esecret_"),
    ("Apify", _ALNUM, 30, "apify_api_"),
    ("Bedrock", _BASE64, 100, "ABSK"),
    ("Cerebras", _ALNUM, 40, "csk-"),
    ("E2B", _HEX, 40, "e2b_"),
    ("Fireworks", _ALNUM, 20, "fw_"),
    ("Firecrawl", _HEX, 32, "fc-"),
    ("Groq", _ALNUM, 40, "gsk_"),
    ("Hugging Face", _ALNUM, 30, "hf_ api_org_"),
    ("Jina", _ALNUM, 50, "jina_"),
    ("LangSmith", _WORD, 32, "lsv2_pt_ lsv2_sk_"),
    ("NVIDIA", _WORD, 50, "nvapi-"),
    ("Perplexity", _ALNUM, 40, "pplx-"),
    ("Pinecone", _WORD, 50, "pcsk_"),
    ("Replicate", _ALNUM, 30, "r8_"),
    ("RunPod", _ALNUM, 40, "rpa_"),
    ("Tavily", _WORD, 20, "tvly-"),
    ("Together", _WORD, 40, "tgp_v1_"),
    ("Voyage", _WORD, 43, "pa-"),
    ("Weights & Biases", _WORD, 40, "wandb_v1_"),
    ("xAI", _ALNUM, 60, "xai-"),
    # Code, packages, builds
    ("Atlassian", _BASE64, 50, "ATATT3 ATCTT3"),
    ("Bitbucket", _ALNUM, 28, "ATBB"),
    ("Buildkite", _ALNUM, 30, "bkua_"),
    ("CircleCI", _WORD, 40, "CCIPAT_"),
    ("Clojars", _ALNUM, 50, "CLOJARS_"),
    ("Docker", _WORD, 20, "dckr_pat_ dckr_oat_"),
    ("Figma", _WORD, 40, "figd_"),
    ("GitLab", _WORD, 20, "glffct- glrtr- glptt-"),
    ("Infracost", _ALNUM, 32, "ico-"),
    ("Linear", _ALNUM, 30, "lin_api_ lin_oauth_"),
    ("NuGet", "[a-z0-9]", 43, "oy2"),
    ("Octopus", "[A-Z0-9]", 26, "API-"),
    ("Postman", _WORD, 50, "PMAK-"),
    ("Prefect", _ALNUM, 36, "pnu_ pnb_"),
    ("Pulumi", _HEX, 40, "pul-"),
    ("ReadMe", _ALNUM, 60, "rdme_"),
    ("RubyGems", _HEX, 48, "rubygems_"),
    ("Sentry", _BASE64, 60, "sntrys_ sntryu_"),
    ("Sourcegraph", _WORD, 40, "sgp_"),
    ("WakaTime", _WORD, 30, "waka_"),
    # Clouds, hosts, databases
    ("Alibaba", _ALNUM, 20, "LTAI"),
    ("Cloudflare", _WORD, 100, "v1.0-"),
    ("Databricks", _HEX, 32, "dapi"),
    ("DigitalOcean", _HEX, 64, "dop_v1_ doo_v1_ dor_v1_"),
    ("Doppler", _ALNUM, 40, "dp.pt. dp.st. dp.ct. dp.sa. dp.scim. dp.audit."),
    ("Fly", _BASE64, 43, "fo1_ fm1a_ fm1r_ fm2_"),
    ("Google", _WORD, 24, "ya29. GOCSPX-"),
    ("HashiCorp Vault", _WORD, 24, "hvs. hvb. hvr."),
    ("Heroku", _WORD, 50, "HRKU-"),
    ("Neon", _ALNUM, 50, "napi_"),
    ("Netlify", _ALNUM, 30, "nfp_"),
    ("OpenShift", _WORD, 43, "sha256~"),
    ("PlanetScale", _DOTTED, 32, "pscale_tkn_ pscale_oauth_ pscale_pw_"),
    ("Render", _ALNUM, 28, "rnd_"),
    ("Supabase", _WORD, 20, "sbp_ sb_secret_"),
    ("Tailscale", _WORD, 20, "tskey-auth- tskey-api- tskey-client- tskey-scim-"),
    ("Tencent", _ALNUM, 32, "AKID"),
    ("Vercel", _ALNUM, 24, "vcp_ vci_ vca_ vcr_ vck_"),
    # Money, mail, messages, content, watching
    ("Brevo", _WORD, 60, "xkeysib- xsmtpsib-"),
    ("Contentful", _WORD, 40, "CFPAT-"),
    ("Duffel", _BASE64, 40, "duffel_test_ duffel_live_"),
    ("Dynatrace", _DOTTED, 60, "dt0c01. dt0s01. dt0s02."),
    ("EasyPost", _ALNUM, 50, "EZAK EZTK"),
    ("Facebook", _ALNUM, 100, "EAAM EAAC"),
    ("Flutterwave", _WORD, 12, "FLWSECK_TEST- FLWSECK-"),
    ("Frame.io", _BASE64, 60, "fio-u-"),
    ("Grafana", _BASE64, 32, "glc_ glsa_ eyJrIjoi"),
    ("HubSpot", _WORD, 36, "pat-na1- pat-na2- pat-eu1-"),
    ("Mailgun", _HEX, 32, "key-"),
    ("New Relic", _ALNUM, 19, "NRAK- NRII- NRJS- NRRA-"),
    ("Notion", _ALNUM, 40, "ntn_ secret_"),
    ("PostHog", _ALNUM, 40, "phx_"),
    ("Shippo", _HEX, 40, "shippo_live_ shippo_test_"),
    ("Shopify", _HEX, 32, "shpat_ shpca_ shppa_ shpss_ shptka_"),
    ("Slack", _WORD, 20, "xapp-"),
    ("Square", _WORD, 22, "sq0atp- EAAA"),
    ("Stripe", _ALNUM, 10, "sk_test_ rk_test_ sk_prod_ rk_prod_"),
    ("Stripe", _BASE64, 30, "whsec_"),
    ("Typeform", _DOTTED, 40, "tfp_"),
    # Keys themselves
    ("1Password", _BASE64, 100, "ops_"),
    ("age", "[A-Z0-9]", 58, "AGE-SECRET-KEY-"),
)
"""Service, characters after the prefix, their least number, and the prefixes, which are letters
and digits or end with one of ``_-.~``."""
