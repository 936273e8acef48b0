"""Languages that stacks are given on demand."""

import django.db.models.deletion
import uuid
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('controller', '0020_schedules'),
    ]

    operations = [
        migrations.CreateModel(
            name='StackLanguage',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('language', models.CharField(max_length=32)),
                ('definition', models.CharField(max_length=64)),
                ('base', models.CharField(max_length=64)),
                ('run_layers', models.JSONField(default=list)),
                ('build_layers', models.JSONField(default=list)),
                ('version', models.CharField(blank=True, max_length=64)),
                ('abi', models.CharField(blank=True, max_length=32)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('stack', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='languages', to='controller.stack')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('stack', 'language'), name='one_row_per_language_of_a_stack')],
            },
        ),
    ]
