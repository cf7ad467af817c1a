"""Orders of a shop: Django over SQLite, one file."""

import os
import random

import django
from django.conf import settings

settings.configure(
    SECRET_KEY="testbed",
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["*"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["DATABASE"]}},
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    TEMPLATES=[{
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "OPTIONS": {"loaders": [("django.template.loaders.locmem.Loader", {
            "order.html": "<p>Order {{ order.id }} for {{ order.customer.name }}</p>",
            "orders.html": "<ul>{% for o in orders %}<li>{{ o.id }}: {{ o.customer.name }}, {{ o.goods }}</li>{% endfor %}</ul>",
        })]},
    }],
)
django.setup()

from django.core.wsgi import get_wsgi_application  # noqa: E402 after setup
from django.db import connection, models  # noqa: E402
from django.http import HttpResponse  # noqa: E402
from django.shortcuts import get_object_or_404, render  # noqa: E402
from django.urls import path  # noqa: E402

ORDERS, CUSTOMERS = 4000, 300


class Customer(models.Model):
    name = models.CharField(max_length=80)

    class Meta:
        app_label = "orders"


class Order(models.Model):
    customer = models.ForeignKey(Customer, on_delete=models.CASCADE)
    goods = models.CharField(max_length=80)

    class Meta:
        app_label = "orders"


def show_order(request, number):
    order = get_object_or_404(Order.objects.select_related("customer"), pk=number)
    return render(request, "order.html", {"order": order})


def list_orders(request):
    newest = Order.objects.select_related("customer").order_by("-id")[:20]
    return render(request, "orders.html", {"orders": newest})


def export_orders(request):
    """All orders of some days, as lines; nobody thought of the customers."""
    first = int(request.GET.get("first", 1))
    count = int(request.GET.get("count", 20))
    lines = []
    for order in Order.objects.filter(id__gte=first)[:count]:
        lines.append(f"{order.id};{order.customer.name};{order.goods}")
    return HttpResponse("\n".join(lines), content_type="text/csv")


urlpatterns = [
    path("orders/<int:number>", show_order),
    path("orders", list_orders),
    path("export", export_orders),
]


def fill():
    with connection.schema_editor() as editor:
        editor.create_model(Customer)
        editor.create_model(Order)
    chance = random.Random(1)
    Customer.objects.bulk_create(Customer(name=f"Customer {i}") for i in range(CUSTOMERS))
    Order.objects.bulk_create(
        (Order(customer_id=1 + chance.randrange(CUSTOMERS), goods=f"{1 + i % 9} boxes") for i in range(ORDERS)), batch_size=400)
    connection.close()


if not os.path.exists(os.environ["DATABASE"]):
    fill()
application = get_wsgi_application()
